package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/internal/databases"
	"github.com/millpondkv/millpond/kv"
)

// targetSettings say to which moment a database is restored.
type targetSettings struct {
	ToTime         string `config:"to-time" help:"restore to this moment, by the log's time, as 2026-01-31T12:00:00Z; without any, to the last commit"`
	ToVersionstamp string `config:"to-versionstamp" help:"restore to just after the commit with this versionstamp"`
}

func (s *targetSettings) target() (t backup.Target, err error) {
	switch {
	case s.ToTime != "" && s.ToVersionstamp != "":
		return t, usagef("--to-time and --to-versionstamp exclude each other")
	case s.ToTime != "":
		t.Time, err = parseTime("--to-time", s.ToTime)
	case s.ToVersionstamp != "":
		t.Versionstamp, err = kv.ParseVersionstamp(s.ToVersionstamp)
		if err == nil && t.Versionstamp.IsZero() {
			err = errors.New("the zero versionstamp names no commit")
		}
		if err != nil {
			err = usagef("--to-versionstamp: %w", err)
		}
	}
	return t, err
}

func parseTime(flag, text string) (kv.Millis, error) {
	at, err := pastTime(text, time.Now())
	if err != nil {
		return 0, usagef("%s: %w", flag, err)
	}
	return at, nil
}

func newRestoreCommand() *cobra.Command {
	var s struct {
		archiveSettings
		targetSettings
		placeSettings
		As     string `config:"as" help:"the name of the database that is made; without it that of --db"`
		DryRun bool   `config:"dry-run" help:"read and check everything, say what would be restored, and make nothing"`
	}
	cmd := &cobra.Command{
		Use:   "restore LOCATION",
		Short: "Make a database from an archive, as it was at any of its commits",
		Long: `Make a database from its archive in LOCATION, as it was at the moment of --to-time or --to-versionstamp, or at the last commit: in
the cluster of --nats or of a context while it runs, or with --data in a data directory of millpond serve, made if it is absent.

Everything is read and checked before anything is made. No database is overwritten: one of that name must not exist. Entries keep
their versionstamps; what has expired is left out. New commits get versionstamps that the database has never had, so that
a check with one from the time after that moment fails. A restore that was interrupted is begun again with the same command.`,
		Example: `  millpond restore /backups --data ./restored --dry-run
  millpond restore /backups --db orders --nats nats://a:4222,nats://b:4222
  millpond restore /backups --db orders --to-time 2026-01-31T12:00:00Z --data ./restored
  millpond restore /backups --as before --to-versionstamp 0000000000b5c29f0000 --data ./restored`,
		Args: cobra.ExactArgs(1),
	}
	c := bindArchive(cmd, &s, &s.archiveSettings).orCluster()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.do(args[0], func(ctx context.Context, a *backup.Archive) error {
			t, err := s.target()
			if err != nil {
				return err
			}
			s.As = cmp.Or(s.As, s.Database)
			if err := checkName("--as", s.As); err != nil {
				return err
			}
			if s.DryRun {
				s.Replicas = 0
			}
			r := restore{archiveCommand: c, archive: a, target: t, name: s.As, dryRun: s.DryRun}
			switch {
			case s.Data == "" && clusterGiven(cmd):
				return s.inCluster(ctx, "millpond restore", a.Logger, func(d *databases.Databases) error { return r.run(ctx, d) })
			case s.Data == "" && !s.DryRun:
				return usagef("say where the database is to be made: --data for a data directory, --nats or a context for a cluster")
			case s.Data == "" || s.DryRun && absent(s.Data):
				return r.run(ctx, nil)
			}
			if _, err := a.Plan(ctx, t); err != nil { // before the directory is made
				return err
			}
			return s.inDirectory(!s.DryRun, a.Logger, func(dir *engine.Stopped) error { return r.run(ctx, dir) })
		})
	}
	return cmd
}

// restore is a restore that was asked for.
type restore struct {
	*archiveCommand
	archive *backup.Archive
	target  backup.Target
	name    string // of the database that is made
	dryRun  bool
}

// run makes the database. In a dry run the place may be nil, and is only looked at.
func (r *restore) run(ctx context.Context, to backup.Maker) error {
	verb := "restored"
	if r.dryRun {
		verb = "would restore"
		if to != nil {
			if err := to.Absent(ctx, r.name); err != nil {
				return err
			}
		}
		to = nil
	}
	restored, err := r.archive.Restore(ctx, r.target, r.name, to)
	if err != nil {
		return err
	}
	r.progress.end()
	return writeRestored(r.OutOrStdout(), verb, r.archive.Database, r.name, restored)
}

func writeRestored(w io.Writer, verb, database, name string, r *backup.Restored) error {
	_, err := fmt.Fprintf(w, `%s %q as it was, named %q
  at           %s, position %d
  entries      %d, without %d that have expired since
  messages     %d, and %d among the dead
  new commits  from versionstamp %s on
`, verb, database, name, timeText(r.Time), r.Position, r.Entries, r.Expired, r.Messages, r.Dead, kv.NewVersionstamp(r.First, 0))
	if err == nil && r.Since != 0 {
		_, err = fmt.Fprintf(w, "  left out     messages that were enqueued before %s, if there were any: their records are not there\n", timeText(r.Since))
	}
	return err
}

func absent(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}
