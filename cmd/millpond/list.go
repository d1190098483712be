package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

func newListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [PREFIX]",
		Short: "Show the entries below a prefix, or all",
		Long: `Show the entries whose keys begin with the parts of PREFIX and have more, in the order of the keys; without a PREFIX
all entries. --start is the first key that is shown, --end the first one that is not.

A long list is read in batches, each a snapshot of its own. With --at the entries are those of a
moment in the past, all of one state.

` + momentHelp,
		Example: `  millpond list
  millpond list '["users"]' --limit 10 --reverse
  millpond list '["log"]' --start '["log", "2026-01-01"]' --end '["log", "2026-02-01"]'
  millpond list -o json > all.ndjson
  millpond list '["users"]' --at 2026-01-31T12:00:00Z`,
		Args: cobra.MaximumNArgs(1),
	}
	conn, out := bindConnection(cmd), bindOutput(cmd, "table", "json", "raw")
	var s client.Selector
	var start, end string
	cmd.Flags().StringVar(&start, "start", "", "begin at this `key`; with a PREFIX it must begin with it")
	cmd.Flags().StringVar(&end, "end", "", "end before this `key`; with a PREFIX it must begin with it")
	cmd.Flags().IntVar(&s.Limit, "limit", 0, "show at most this many entries; 0 is all")
	cmd.Flags().IntVar(&s.BatchSize, "batch-size", kv.MaxReadEntries/2, "read this many entries with one request, at most 1000")
	cmd.Flags().BoolVar(&s.Reverse, "reverse", false, "begin with the largest key")
	at := bindMoment(cmd, "at", "list as it was at this `moment`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		prefix := ""
		if len(args) > 0 {
			prefix = args[0]
		}
		if s.Limit < 0 {
			return usagef("--limit %d is negative", s.Limit)
		}
		if s.BatchSize < 1 || s.BatchSize > kv.MaxReadEntries {
			return usagef("--batch-size %d is not from 1 to %d", s.BatchSize, kv.MaxReadEntries)
		}
		if err := parseSelector(&s, prefix, start, end); err != nil {
			return err
		}
		return conn.do(cmd, func(ctx context.Context, db *client.DB) error {
			return runList(ctx, at.reader(db), s, out.printer(cmd.OutOrStdout()))
		})
	}
	return cmd
}

func runList(ctx context.Context, db client.Lister, s client.Selector, p printer) error {
	for entry, err := range db.List(ctx, s) {
		if err != nil {
			return err
		}
		if err := p.entry(entry); err != nil {
			return err
		}
	}
	return p.flush()
}

// parseSelector reads the keys of a selector; "" is none.
func parseSelector(s *client.Selector, prefix, start, end string) error {
	for _, bound := range []struct {
		text string
		key  *kv.Key
	}{{prefix, &s.Prefix}, {start, &s.Start}, {end, &s.End}} {
		if bound.text == "" {
			continue
		}
		key, err := parseKey(bound.text)
		if err != nil {
			return err
		}
		*bound.key = key
	}
	return nil
}
