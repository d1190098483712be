package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/backup"
)

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
--keep says. The newest full copy always stays. What an interrupted backup has left is deleted too, if it is older than a day.`,
		Args: cobra.ExactArgs(1),
	}
	c := bindArchive(cmd, &s, &s.archiveSettings)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.do(args[0], func(ctx context.Context, a *backup.Archive) error {
			if s.Keep < 0 {
				return usagef("--keep must not be negative")
			}
			p, err := a.Prune(ctx, s.Keep, s.DryRun)
			if err != nil {
				return err
			}
			verb := "deleted"
			if s.DryRun {
				verb = "would delete"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %d parts with %s, and %d that were unfinished\n", verb, p.Parts, sizeText(p.Bytes), p.Unfinished)
			return err
		})
	}
	return cmd
}
