package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/backup"
)

// prunedView is what was deleted, or in a dry run would be, as JSON.
type prunedView struct {
	Parts      int   `json:"parts"`
	Bytes      int64 `json:"bytes"`
	Unfinished int   `json:"unfinished"`
	DryRun     bool  `json:"dryRun"`
}

func newBackupPruneCommand() *cobra.Command {
	var s struct {
		archiveSettings
		Keep   time.Duration `config:"keep" default:"720h" help:"every moment that is not longer ago can still be restored to afterwards"`
		DryRun bool          `config:"dry-run" help:"say what would be deleted, and delete nothing"`
	}
	cmd := &cobra.Command{
		Use:   "prune LOCATION",
		Short: "Delete what is not needed to restore a database to the last weeks",
		Long: `Delete from the archive of a database in LOCATION what is not needed any more to restore it to any moment of the time that
--keep says. The newest full copy always stays. What an interrupted backup has left is deleted too, if it is older than a day.

At a terminal you are asked first; elsewhere --yes is needed.`,
		Example: `  millpond backup prune /backups --db orders --dry-run
  millpond backup prune /backups --db orders --keep 2160h --yes`,
		Args: cobra.ExactArgs(1),
	}
	c, out := bindArchive(cmd, &s, &s.archiveSettings), bindOutput(cmd, "table", "json")
	sure := bindYes(cmd, "really delete it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.do(args[0], func(ctx context.Context, a *backup.Archive) error {
			if s.Keep < 0 {
				return usagef("--keep must not be negative")
			}
			if !s.DryRun && !sure.yes {
				p, err := a.Prune(ctx, s.Keep, true)
				if err != nil {
					return err
				}
				if err := sure.confirm(cmd, fmt.Sprintf("parts of the archive of %q that will be deleted: %d", a.Database, p.Parts+p.Unfinished)); err != nil {
					return err
				}
			}
			p, err := a.Prune(ctx, s.Keep, s.DryRun)
			if err != nil {
				return err
			}
			verb := "deleted"
			if s.DryRun {
				verb = "would delete"
			}
			return out.result(cmd.OutOrStdout(), prunedView{p.Parts, p.Bytes, p.Unfinished, s.DryRun},
				"%s %d parts with %s, and %d that were unfinished\n", verb, p.Parts, sizeText(p.Bytes), p.Unfinished)
		})
	}
	return cmd
}
