// Package syncfile writes small files so that after a crash or a power cut each is there whole, as it was or as it is to be.
package syncfile

import (
	"errors"
	"os"
	"path/filepath"
)

// AsideSuffix is the end of the names of files that an interrupted Write leaves.
const AsideSuffix = ".tmp"

// Write puts data into the file, readable by the owner only, and returns when it is on disk under its name.
func Write(name string, data []byte) error {
	aside := name + AsideSuffix
	file, err := os.OpenFile(aside, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return Publish(aside, name)
}

// Publish gives a file that was synced its final name, and returns when that is on disk. Both are in one directory.
func Publish(aside, name string) error {
	if err := os.Rename(aside, name); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(name))
}

// SyncDir returns when the names in a directory are on disk as they are now.
func SyncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
