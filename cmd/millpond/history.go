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
	"github.com/millpondkv/millpond/kv/v8/literal"
)

func newHistoryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history KEY",
		Short: "Show every value that a key has had",
		Long: `Show every value that a key has had, the oldest first: when it was written, by which commit, its
size in bytes, and when it was deleted or expired. Times are those of the log.

It begins with the history that the server keeps. A value that is older than that has the time
"before".`,
		Example: `  millpond history '["users", "alice"]'
  millpond history '["users", "alice"]' -o json | tail -n 1`,
		Args: cobra.ExactArgs(1),
	}
	conn, out := bindConnection(cmd), bindOutput(cmd, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		key, err := parseKey(args[0])
		if err != nil {
			return err
		}
		return conn.do(cmd, func(ctx context.Context, db *client.DB) error {
			return runHistory(ctx, db, key, out.versionPrinter(cmd.OutOrStdout()), cmd)
		})
	}
	return cmd
}

func runHistory(ctx context.Context, db *client.DB, key kv.Key, p versionPrinter, cmd *cobra.Command) error {
	n := 0
	for v, err := range db.History(ctx, key) {
		if err != nil {
			return err
		}
		if err := p.version(v); err != nil {
			return err
		}
		n++
	}
	if n == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "millpond: the history that is kept has no entry at %s\n", showKey(key))
		return errNotFound
	}
	return p.flush()
}

// versionPrinter shows versions of a key. The caller must call flush at the end.
type versionPrinter interface {
	version(kv.Version) error
	flush() error
}

func (o *output) versionPrinter(w io.Writer) versionPrinter {
	if o.format == "json" {
		return versionJSON{w}
	}
	return &versionTable{rows: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
}

type versionTable struct {
	rows  *tabwriter.Writer
	count int
}

func (p *versionTable) version(v kv.Version) error {
	if p.count == 0 {
		fmt.Fprintln(p.rows, "TIME\tVERSIONSTAMP\tSIZE\tVALUE")
	}
	at, size, value := "before", "-", "("+v.State.String()+")"
	if v.Time != 0 {
		at = v.Time.String()
	}
	if v.State == kv.VersionSet {
		size, value = fmt.Sprint(len(v.Value.Data)), showValue(v.Value, literal.Format)
	}
	if _, err := fmt.Fprintf(p.rows, "%s\t%s\t%s\t%s\n", at, v.Versionstamp, size, value); err != nil {
		return err
	}
	if p.count++; p.count%rowsAligned == 0 {
		return p.flush()
	}
	return nil
}

func (p *versionTable) flush() error { return p.rows.Flush() }

// versionJSON writes one object a line.
type versionJSON struct{ w io.Writer }

func (p versionJSON) version(v kv.Version) error {
	b := fmt.Appendf(nil, `{"state":%q,"versionstamp":%q`, v.State, v.Versionstamp)
	if v.Time != 0 {
		b = fmt.Appendf(b, `,"time":%q`, v.Time)
	}
	if v.State == kv.VersionSet {
		b = ndjson.AppendValue(fmt.Appendf(b, `,"size":%d,"value":`, len(v.Value.Data)), v.Value)
	}
	if v.ExpireAt != 0 {
		b = fmt.Appendf(b, `,"expireAt":%q`, v.ExpireAt)
	}
	_, err := p.w.Write(append(b, "}\n"...))
	return err
}

func (p versionJSON) flush() error { return nil }
