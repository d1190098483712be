package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/internal/config"
	"github.com/millpondkv/millpond/internal/recovery"
	"github.com/millpondkv/millpond/kv"
)

// branchSettings are those of millpond branch.
type branchSettings struct {
	Data   string `config:"data" default:"./millpond-data" help:"the data directory of millpond serve, which must not run now"`
	At     string `config:"at" help:"the moment, as a time like 2026-01-31T12:00:00Z or the versionstamp of a commit; without it, now"`
	DryRun bool   `config:"dry-run" help:"say what would be made, and make nothing"`
}

func newBranchCommand() *cobra.Command {
	var s branchSettings
	cmd := &cobra.Command{
		Use:   "branch DATABASE NEW",
		Short: "Make a database that is as another one was at some moment, from that one's log",
		Long: `Make a database NEW that is as DATABASE was at some moment, from DATABASE's own log and in the same data directory. No backup is
needed, but the log must be whole: that of a restored database is not.

Entries keep their versionstamps. The two databases have nothing to do with each other from then on.`,
		Example: `  millpond branch default before --at 2026-01-31T12:00:00Z`,
		Args:    cobra.ExactArgs(2),
	}
	loader := config.Bind(cmd.Flags(), &s)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
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
	dir, err := engine.OpenStopped(s.Data, false, logger)
	if err != nil {
		return err
	}
	r, err := s.make(ctx, dir, database, name, t)
	if err := errors.Join(err, dir.Close()); err != nil {
		return fmt.Errorf("branch %q: %w", database, err)
	}
	verb := "made"
	if s.DryRun {
		verb = "would make"
	}
	return writeRestored(cmd.OutOrStdout(), verb, database, name, r)
}

func (s *branchSettings) make(ctx context.Context, dir *engine.Stopped, database, name string, t backup.Target) (*backup.Restored, error) {
	source, err := recovery.Stopped(ctx, dir, database)
	if err != nil {
		return nil, err
	}
	if err := dir.Absent(ctx, name); err != nil {
		return nil, err
	}
	state := recovery.NewState()
	defer state.Close()
	var maker backup.Maker
	if !s.DryRun {
		maker = dir
	}
	return backup.Branch(ctx, source, state, t, name, maker, time.Now())
}
