package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/ndjson"
	"github.com/millpondkv/millpond/kv"
)

func newDiffCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff [PREFIX] --from MOMENT",
		Short: "Show what has changed between two moments",
		Long: `Show the entries whose keys begin with the parts of PREFIX and have more, or all entries, that
are not the same at two moments: what they were at --from, and what they were at --to, or are
now. An entry that was absent has "-". One that was written again with the same value and expiry
is the same.

` + momentHelp,
		Example: `  millpond diff --from -1h
  millpond diff '["users"]' --from 2026-01-31T12:00:00Z --to 2026-01-31T13:00:00Z -o json`,
		Args: cobra.MaximumNArgs(1),
	}
	conn, out := bindConnection(cmd), bindOutput(cmd, "table", "json")
	from, to := bindMoment(cmd, "from", "the first `moment`"), bindMoment(cmd, "to", "the second `moment`; without it, now")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !from.given() {
			return usagef("--from is missing: since when?")
		}
		var s client.Selector
		if len(args) > 0 {
			if err := parseSelector(&s, args[0], "", ""); err != nil {
				return err
			}
		}
		return conn.do(cmd, func(ctx context.Context, db *client.DB) error {
			p := out.differencePrinter(cmd.OutOrStdout())
			for d, err := range db.Diff(ctx, s.Prefix, from.moment, to.moment) {
				if err != nil {
					return err
				}
				if err := p.difference(d.Key, d.Before, d.After); err != nil {
					return err
				}
			}
			return p.flush()
		})
	}
	return cmd
}

// differencePrinter shows what keys had at two moments. The caller must call flush at the end.
type differencePrinter interface {
	difference(key kv.Key, before, after client.RawEntry) error
	flush() error
}

func (o *output) differencePrinter(w io.Writer) differencePrinter {
	if o.format == "json" {
		return differenceJSON{w}
	}
	return &differenceTable{rows: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
}

type differenceTable struct {
	rows  *tabwriter.Writer
	count int
}

func (p *differenceTable) difference(key kv.Key, before, after client.RawEntry) error {
	if p.count == 0 {
		fmt.Fprintln(p.rows, "KEY\tBEFORE\tAFTER")
	}
	_, old := showEntry(before)
	_, new := showEntry(after)
	if old == new && before.ExpireAt != after.ExpireAt {
		old, new = old+showExpiry(before), new+showExpiry(after)
	}
	if _, err := fmt.Fprintf(p.rows, "%s\t%s\t%s\n", showKey(key), old, new); err != nil {
		return err
	}
	if p.count++; p.count%rowsAligned == 0 {
		return p.flush()
	}
	return nil
}

func showExpiry(e client.RawEntry) string {
	if e.ExpireAt == 0 {
		return " (never expires)"
	}
	return " (expires at " + e.ExpireAt.String() + ")"
}

func (p *differenceTable) flush() error { return p.rows.Flush() }

// differenceJSON writes one object a line; an absent entry is null.
type differenceJSON struct{ w io.Writer }

func (p differenceJSON) difference(key kv.Key, before, after client.RawEntry) error {
	b := ndjson.AppendKey([]byte(`{"key":`), key)
	b = appendStateJSON(append(b, `,"before":`...), before)
	b = appendStateJSON(append(b, `,"after":`...), after)
	_, err := p.w.Write(append(b, "}\n"...))
	return err
}

func appendStateJSON(b []byte, e client.RawEntry) []byte {
	if !e.Exists() {
		return append(b, "null"...)
	}
	b = ndjson.AppendValue(append(b, `{"value":`...), e.Value)
	b = fmt.Appendf(b, `,"versionstamp":%q`, e.Versionstamp)
	if e.ExpireAt != 0 {
		b = fmt.Appendf(b, `,"expireAt":%q`, e.ExpireAt)
	}
	return append(b, '}')
}

func (p differenceJSON) flush() error { return nil }
