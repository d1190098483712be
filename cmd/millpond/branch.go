package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/internal/config"
	"github.com/millpondkv/millpond/internal/databases"
	"github.com/millpondkv/millpond/internal/recovery"
	"github.com/millpondkv/millpond/kv"
)

// branchSettings are those of millpond branch.
type branchSettings struct {
	placeSettings
	At     string `config:"at" help:"the moment, as a time like 2026-01-31T12:00:00Z or the versionstamp of a commit; without it, now"`
	DryRun bool   `config:"dry-run" help:"say what would be made, and make nothing"`
}

func newBranchCommand() *cobra.Command {
	var s branchSettings
	cmd := &cobra.Command{
		Use:   "branch DATABASE NEW",
		Short: "Make a database that is as another one was at some moment, from that one's log",
		Long: `Make a database NEW that is as DATABASE was at some moment, from DATABASE's own log and beside it: in the cluster of --nats or of a
context while it runs, or in the data directory of --data (without any, ./millpond-data). No backup is needed, but the moment must be one
that the log and its checkpoints still have.

Entries keep their versionstamps. The two databases have nothing to do with each other from then on.`,
		Example: `  millpond branch default before --at 2026-01-31T12:00:00Z
  millpond branch orders orders-at-noon --at 2026-01-31T12:00:00Z --nats nats://a:4222,nats://b:4222`,
		Args: cobra.ExactArgs(2),
	}
	loader := config.Bind(cmd.Flags(), &s)
	bindContext(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := useCluster(cmd, loader); err != nil {
			return err
		}
		if err := loader.Load(os.LookupEnv); err != nil {
			return &usageError{err}
		}
		target, err := parseMoment(s.At)
		if err != nil {
			return err
		}
		for _, name := range args {
			if err := checkName("branch", name); err != nil {
				return err
			}
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return s.branch(ctx, cmd, args[0], args[1], target)
	}
	return cmd
}

// parseMoment reads a time, a versionstamp, or nothing.
func parseMoment(text string) (t backup.Target, err error) {
	switch {
	case text == "":
	case strings.ContainsAny(text, ":-"):
		t.Time, err = parseTime("--at", text)
	default:
		if t.Versionstamp, err = kv.ParseVersionstamp(text); err != nil {
			err = usagef("--at: %q is neither a time like 2026-01-31T12:00:00Z nor a versionstamp", text)
		}
	}
	return t, err
}

func (s *branchSettings) branch(ctx context.Context, cmd *cobra.Command, database, name string, t backup.Target) error {
	logger, err := newLogger("auto", "info", cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if s.DryRun {
		s.Replicas = 0
	}
	branch := func(source recovery.Source, maker backup.Maker) error {
		return s.make(ctx, cmd.OutOrStdout(), source, maker, database, name, t)
	}
	if s.Data == "" && clusterGiven(cmd) {
		err = s.inCluster(ctx, "millpond branch", logger, func(d *databases.Databases) error {
			return s.source(ctx, "millpond branch", database, func(source recovery.Source) error { return branch(source, d) })
		})
	} else {
		s.Data = cmp.Or(s.Data, "./millpond-data")
		err = s.inDirectory(false, logger, func(dir *engine.Stopped) error {
			source, err := recovery.Stopped(ctx, dir, database)
			if err != nil {
				return err
			}
			return branch(source, dir)
		})
	}
	if err != nil {
		return fmt.Errorf("branch %q: %w", database, err)
	}
	return nil
}

func (s *branchSettings) make(ctx context.Context, out io.Writer, source recovery.Source, maker backup.Maker, database, name string, t backup.Target) error {
	if err := maker.Absent(ctx, name); err != nil {
		return err
	}
	verb := "made"
	if s.DryRun {
		verb, maker = "would make", nil
	}
	base, err := source.Base(ctx, t)
	if err != nil {
		return err
	}
	defer base.State.Close()
	r, err := backup.Branch(ctx, source, base, t, name, maker, time.Now())
	if err != nil {
		return err
	}
	return writeRestored(out, verb, database, name, r)
}
