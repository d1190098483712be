package main

import (
	"context"
	"fmt"
	"io"
	"unicode/utf8"

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
			return runWatch(ctx, db, keys, out.changePrinter(cmd.OutOrStdout(), keys))
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

// changePrinter returns a function that shows an entry of one of keys on a line of its own, at once.
func (o *output) changePrinter(w io.Writer, keys []kv.Key) func(client.RawEntry) error {
	if o.format != "table" {
		return o.printer(w).entry
	}
	widest := len("KEY")
	for _, key := range keys {
		widest = max(widest, utf8.RuneCountInString(showKey(key)))
	}
	row := func(key, versionstamp, value string) error {
		_, err := fmt.Fprintf(w, "%-*s  %-20s  %s\n", widest, key, versionstamp, value)
		return err
	}
	headed := false
	return func(e client.RawEntry) error {
		if !headed {
			headed = true
			if err := row("KEY", "VERSIONSTAMP", "VALUE"); err != nil {
				return err
			}
		}
		versionstamp, value := showEntry(e)
		return row(showKey(e.Key), versionstamp, value)
	}
}
