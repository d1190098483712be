package main

import (
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
		Data   string `config:"data" help:"make the database in this data directory of millpond serve, which must not run now; made if it is absent"`
		As     string `config:"as" help:"the name of the database that is made; without it that of --db"`
		DryRun bool   `config:"dry-run" help:"read and check everything, say what would be restored, and make nothing"`
	}
	cmd := &cobra.Command{
		Use:   "restore LOCATION",
		Short: "Make a database from an archive, as it was at any of its commits",
		Long: `Make a database from its archive in LOCATION, as it was at the moment of --to-time or --to-versionstamp, or at the last commit.

Everything is read and checked before anything is made. No database is overwritten: one of that name must not exist. Entries keep
their versionstamps; what has expired is left out. New commits get versionstamps that the database has never had, so that
a check with one from the time after that moment fails. A restore that was interrupted is begun again with the same command.`,
		Example: `  millpond restore /backups --data ./restored --dry-run
  millpond restore /backups --db orders --to-time 2026-01-31T12:00:00Z --data ./restored
  millpond restore /backups --as before --to-versionstamp 0000000000b5c29f0000 --data ./restored`,
		Args: cobra.ExactArgs(1),
	}
	c := bindArchive(cmd, &s, &s.archiveSettings)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.do(args[0], func(ctx context.Context, a *backup.Archive) error {
			t, err := s.target()
			if err != nil {
				return err
			}
			if s.As == "" {
				s.As = s.Database
			}
			if err := checkName("--as", s.As); err != nil {
				return err
			}
			if s.Data == "" && !s.DryRun {
				return usagef("--data is missing: in which data directory is the database to be made?")
			}
			if s.Data == "" || s.DryRun && absent(s.Data) {
				return c.restore(ctx, a, t, s.As, nil, s.DryRun)
			}
			if _, err := a.Plan(ctx, t); err != nil { // before the directory is made
				return err
			}
			dir, err := engine.OpenStopped(s.Data, !s.DryRun, a.Logger)
			if err != nil {
				return err
			}
			return errors.Join(c.restore(ctx, a, t, s.As, dir, s.DryRun), dir.Close())
		})
	}
	return cmd
}

// restore makes the database in dir. In a dry run dir may be nil, and is only looked at.
func (c *archiveCommand) restore(ctx context.Context, a *backup.Archive, t backup.Target, name string, dir *engine.Stopped, dryRun bool) error {
	var maker backup.Maker
	if dir != nil {
		maker = dir
	}
	if dryRun && maker != nil {
		if err := maker.Absent(ctx, name); err != nil {
			return err
		}
		maker = nil
	}
	r, err := a.Restore(ctx, t, name, maker)
	if err != nil {
		return err
	}
	c.progress.end()
	verb := "restored"
	if dryRun {
		verb = "would restore"
	}
	return writeRestored(c.OutOrStdout(), verb, a.Database, name, r)
}

func writeRestored(w io.Writer, verb, database, name string, r *backup.Restored) error {
	_, err := fmt.Fprintf(w, `%s %q as it was, named %q
  at           %s, position %d
  entries      %d, without %d that have expired since
  new commits  from versionstamp %s on
`, verb, database, name, timeText(r.Time), r.Position, r.Entries, r.Expired, kv.NewVersionstamp(r.First, 0))
	return err
}

func absent(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}
