package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/backup"
)

// verifiedView is a whole archive as JSON.
type verifiedView struct {
	Database string `json:"database"`
	Pieces   int    `json:"pieces"` // unbroken ones
	Fulls    int    `json:"fulls"`
	Segments int    `json:"segments"`
	Records  int64  `json:"records"`
	Bytes    int64  `json:"bytes"`
	Sealed   int    `json:"sealed"` // encrypted parts that were not looked into
}

func newBackupVerifyCommand() *cobra.Command {
	var s archiveSettings
	cmd := &cobra.Command{
		Use:   "verify LOCATION",
		Short: "Read the whole archive of a database and say what is wrong with it",
		Long: `Read the whole archive of a database in LOCATION and say what is wrong with it. No server is needed.

Every part is compared with its checksum; the log's own chain of hashes shows that no record is missing or was changed; and each
full copy is compared with what the records before it lead to. Of encrypted parts all of that needs --identity-file: without it
only the checksums, and that the parts follow each other, are looked at.`,
		Args: cobra.ExactArgs(1),
	}
	c, out := bindArchive(cmd, &s, &s), bindOutput(cmd, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.do(args[0], func(ctx context.Context, a *backup.Archive) error {
			v, err := a.Verify(ctx)
			c.progress.end()
			if err != nil {
				return err
			}
			if v.Fulls == 0 {
				return fmt.Errorf("%w: there is no archive of the database %q in %s", backup.ErrIncomplete, a.Database, a.Blob)
			}
			view := verifiedView{a.Database, v.Lines, v.Fulls, v.Segments, v.Messages, v.Bytes, v.Sealed}
			if err := out.result(cmd.OutOrStdout(), view, "the archive of %q is whole: %d full, %d segments with %d records, %s\n",
				a.Database, v.Fulls, v.Segments, v.Messages, sizeText(v.Bytes)); err != nil {
				return err
			}
			if v.Sealed > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d encrypted parts were compared with their checksums only; give --identity-file to look into them\n", v.Sealed)
			}
			return nil
		})
	}
	return cmd
}
