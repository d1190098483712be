package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"filippo.io/age"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/internal/cluster"
	"github.com/millpondkv/millpond/internal/config"
	"github.com/millpondkv/millpond/internal/recovery"
	"github.com/millpondkv/millpond/kv"
)

// archiveSettings are what every command needs that works with an archive.
type archiveSettings struct {
	Database string `config:"db" default:"default" help:"the database"`
	Identity string `config:"identity" secret:"true" help:"read what is encrypted with these age identities (AGE-SECRET-KEY-1...), the secret keys"`
	recovery.Store
}

// originSettings say where a database is that is backed up.
type originSettings struct {
	Data string `config:"data" help:"the database is in this data directory of a millpond serve that does not run now; without it, it is in the cluster of --nats"`
	cluster.NATS
	cluster.Logging
}

// archiveCommand is a command that works with the archive in the location that its first argument names. The settings have
// an archiveSettings.
type archiveCommand struct {
	*cobra.Command
	loader   *config.Loader
	settings *archiveSettings
	logging  func() (format, level string) // nil: the defaults
	progress *progress

	inCluster bool // it may speak to a cluster, and take a context
}

func bindArchive(cmd *cobra.Command, settings any, common *archiveSettings) *archiveCommand {
	return &archiveCommand{Command: cmd, loader: config.Bind(cmd.Flags(), settings), settings: common}
}

// orCluster lets the command speak to a cluster, which --nats or a context names.
func (c *archiveCommand) orCluster() *archiveCommand {
	bindContext(c.Command)
	c.inCluster = true
	return c
}

// do calls f with the archive. The context ends with an interrupt or SIGTERM.
func (c *archiveCommand) do(location string, f func(ctx context.Context, a *backup.Archive) error) error {
	if c.inCluster {
		if err := useCluster(c.Command, c.loader); err != nil {
			return err
		}
	}
	if err := c.loader.Load(os.LookupEnv); err != nil {
		return &usageError{err}
	}
	if err := checkName("--db", c.settings.Database); err != nil {
		return err
	}
	recipients, err := c.settings.Recipients()
	if err != nil {
		return &usageError{err}
	}
	identities, err := c.settings.identities()
	if err != nil {
		return err
	}
	format, level := "auto", "info"
	if c.logging != nil {
		format, level = c.logging()
	}
	logger, err := newLogger(format, level, c.ErrOrStderr())
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	blob, err := c.settings.Blob(location)
	if err != nil {
		return &usageError{err}
	}
	c.progress = newProgress(c.ErrOrStderr())
	err = f(ctx, backup.Open(backup.Config{
		Blob: blob, Database: c.settings.Database, Recipients: recipients, Identities: identities, ReadState: recovery.ReadState,
		Now: time.Now, NewID: recovery.NewID(), Logger: logger, Progress: c.progress.add,
	}))
	c.progress.end()
	return err
}

// checkName refuses what is no name of a database. Names become parts of paths.
func checkName(flag, name string) error {
	if !kv.ValidDatabaseName(name) {
		return usagef("%s: %q is not the name of a database, which is 1 to %d of a-z, 0-9, _ and -", flag, name, kv.MaxDatabaseName)
	}
	return nil
}

func (s *archiveSettings) identities() ([]age.Identity, error) {
	if s.Identity == "" {
		return nil, nil
	}
	list, err := age.ParseIdentities(strings.NewReader(s.Identity))
	if err != nil { // age's error may have the secret in it
		return nil, usagef("--identity is not an age identity; it is a line that begins with AGE-SECRET-KEY-1")
	}
	return list, nil
}

func (s *originSettings) logging() (format, level string) { return s.LogFormat, s.LogLevel }

// source calls f with the database that is to be backed up.
func (s *originSettings) source(ctx context.Context, database string, logger *slog.Logger, f func(backup.Source) error) error {
	if s.Data == "" {
		source, err := recovery.OpenCluster(ctx, func() (*nats.Conn, error) { return s.Dial("millpond backup") }, database)
		if err != nil {
			return err
		}
		defer source.Close()
		return f(source)
	}
	dir, err := engine.OpenStopped(s.Data, false, logger)
	if err != nil {
		return err
	}
	source, err := recovery.Stopped(ctx, dir, database)
	if err == nil {
		err = f(source)
	}
	return errors.Join(err, dir.Close())
}

// sizeText writes a number of bytes for people.
func sizeText(bytes int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	n, i := float64(bytes), 0
	for n >= 1024 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f %s", n, units[i])
}
