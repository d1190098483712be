package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/kv"
)

func newBackupListCommand() *cobra.Command {
	var s archiveSettings
	cmd := &cobra.Command{
		Use:   "list LOCATION",
		Short: "Show what the archive of a database has",
		Long: `Show what the archive of a database in LOCATION has: each unbroken piece with the first and the last moment that it can be
restored to, in log time, and the parts it is made of.`,
		Args: cobra.ExactArgs(1),
	}
	c := bindArchive(cmd, &s, &s)
	out := bindOutput(cmd, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.do(args[0], func(ctx context.Context, a *backup.Archive) error {
			catalog, err := a.Catalog(ctx)
			if err != nil {
				return err
			}
			c.progress.end()
			if len(catalog.Lines) == 0 {
				return fmt.Errorf("%w: there is no archive of the database %q in %s", backup.ErrIncomplete, a.Database, a.Blob)
			}
			if out.format == "json" {
				return writeParts(cmd.OutOrStdout(), catalog)
			}
			return writeLines(cmd.OutOrStdout(), catalog)
		})
	}
	return cmd
}

// writeParts writes each manifest as a line of JSON.
func writeParts(w io.Writer, catalog *backup.Catalog) error {
	encoder := json.NewEncoder(w)
	for _, l := range catalog.Lines {
		for _, m := range slices.Concat(l.Fulls, l.Segments) {
			if err := encoder.Encode(m); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeLines(w io.Writer, catalog *backup.Catalog) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FROM\tTO\tPOSITIONS\tFULL\tSEGMENTS\tSIZE")
	for _, l := range catalog.Lines {
		var size int64
		for _, m := range slices.Concat(l.Fulls, l.Segments) {
			size += m.Stored.Bytes
		}
		fmt.Fprintf(table, "%s\t%s\t%d-%d\t%d\t%d\t%s\n", timeText(l.Start().Time), timeText(l.End().Time), l.Start().Applied, l.End().Applied,
			len(l.Fulls), len(l.Segments), sizeText(size))
	}
	return table.Flush()
}

// timeText writes log time as --to-time reads it.
func timeText(at kv.Millis) string {
	return time.UnixMilli(int64(at)).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
