package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

func newWatchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch KEY...",
		Short: "Show the entries of keys, and each change, until Ctrl-C",
		Long: `Show the entries of up to 10 keys, and then each entry that changes, until Ctrl-C. A lost connection is made anew.

Changes that come faster than they can be sent are shown as one. A key without an entry has "-" for its versionstamp and
value; with -o json both are null.`,
		Example: `  millpond watch '["counter"]'
  millpond watch '["users", "alice"]' '["users", "bob"]' -o json`,
		Args: cobra.MinimumNArgs(1),
	}
	conn, out := bindConnection(cmd), bindOutput(cmd, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		keys, err := parseKeys(args)
		if err != nil {
			return err
		}
		return conn.do(cmd, func(ctx context.Context, db *client.DB) error {
			return runWatch(ctx, db, keys, out.changePrinter(cmd.OutOrStdout()))
		})
	}
	return cmd
}

func runWatch(ctx context.Context, db *client.DB, keys []kv.Key, show func(client.RawEntry) error) error {
	var shown []kv.Versionstamp // by key; nil before the first time
	for entries, err := range db.Watch(ctx, keys...) {
		if err != nil {
			return err
		}
		first := shown == nil
		if first {
			shown = make([]kv.Versionstamp, len(keys))
		}
		for i, entry := range entries {
			if !first && shown[i] == entry.Versionstamp {
				continue
			}
			shown[i] = entry.Versionstamp
			if err := show(entry); err != nil {
				return err
			}
		}
	}
	return nil
}

// changePrinter returns a function that shows an entry on a line of its own, at once.
func (o *output) changePrinter(w io.Writer) func(client.RawEntry) error {
	if o.format != "table" {
		return o.printer(w).entry
	}
	return func(e client.RawEntry) error {
		versionstamp, value := showEntry(e)
		_, err := fmt.Fprintf(w, "%s  %-20s  %s\n", showKey(e.Key), versionstamp, value)
		return err
	}
}
