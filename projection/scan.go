package projection

import (
	"errors"
	"io"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// ScanCheckpoint calls f with each entry of the checkpoint that r has, in the order of keys, until f returns false, and returns the
// place of the log and the UUID of its database. An entry's
// value is only read. What f got before an error, which is
// ErrCheckpoint if what was read is damaged or cut off, is right by itself, but may not be all.
func ScanCheckpoint(r io.Reader, f func(kv.Entry) bool) (chain events.Chain, database string, err error) {
	_, err = readBlocks(r, blocks{
		state:  func(d *blockReader) string { database, chain, _ = d.state(); return database },
		recent: func(*blockReader) {},
		entries: func(d *blockReader) (n uint64, err error) {
			for ; len(d.rest) > 0 && !d.bad; n++ {
				if key, stored, ok := d.entry(); ok && !f(decodeStored(key, stored)) {
					return n, errScanned
				}
			}
			return n, nil
		},
	})
	if err == errScanned && database != "" {
		err = nil
	}
	return chain, database, err
}

var errScanned = errors.New("nothing more is wanted")
