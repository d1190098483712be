package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/ndjson"
	"github.com/millpondkv/millpond/kv"
)

// exportBatch is how many entries are read with one request: of the largest, 16 MB.
const exportBatch = 250

func newExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write all entries as lines of JSON, to read them with import or @deno/kv-utils",
		Long: `Write all entries, or those below --prefix, as lines of JSON to FILE or to stdout, in the order of their keys.

The form is that of @deno/kv-utils, which passes over what is added: "expireAt" of an entry that expires, and "v8" beside a value that
JSON shows but not exactly. A value that JSON cannot show (one that contains itself, a Blob, a CryptoKey, a boxed primitive) has the type
"V8" and its stored bytes, which "millpond import" reads and kv-utils does not. Messages are not exported: KV Connect does not hand
them out.

While it is written, FILE has the name FILE.partial. After a stop, --resume goes on with that. Batches of entries are each read from a
snapshot of its own. If the server does not tell when entries expire, exit code 7 says so, unless --without-expiry accepts it.`,
		Example: `  millpond export all.ndjson
  millpond export all.ndjson --resume
  millpond export --prefix '["users"]' | gzip > users.ndjson.gz`,
		Args: cobra.MaximumNArgs(1),
	}
	conn, sure, withoutExpiry := bindConnection(cmd), bindYes(cmd, "replace FILE"), bindWithoutExpiry(cmd)
	var prefix string
	var resume bool
	cmd.Flags().StringVar(&prefix, "prefix", "", "only entries below this `key`")
	cmd.Flags().BoolVar(&resume, "resume", false, "go on with what an export to FILE has written before it was stopped")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s := client.Selector{BatchSize: exportBatch}
		if err := parseSelector(&s, prefix, "", ""); err != nil {
			return err
		}
		if len(args) == 0 || args[0] == "-" {
			if resume {
				return usagef("--resume needs a FILE")
			}
			return conn.do(cmd, func(ctx context.Context, db *client.DB) error {
				return runExport(ctx, cmd, db, s, cmd.OutOrStdout(), *withoutExpiry)
			})
		}
		file, err := beginExport(cmd, args[0], resume, sure)
		if err != nil {
			return err
		}
		defer file.Close()
		s.Start = file.last
		err = conn.do(cmd, func(ctx context.Context, db *client.DB) error {
			return runExport(ctx, cmd, db, s, file, *withoutExpiry)
		})
		if err == nil || errors.Is(err, errIncomplete) {
			return errors.Join(file.finish(), err)
		}
		if !file.discardEmpty() {
			fmt.Fprintf(cmd.ErrOrStderr(), "stopped; add --resume to go on with %s\n", file.partial())
		}
		return err
	}
	return cmd
}

func bindWithoutExpiry(cmd *cobra.Command) *bool {
	accepted := cmd.Flags().Bool("without-expiry", false, "be content with entries that never expire if the server does not tell when they do")
	return accepted
}

// runExport writes the entries of s to w. If s has a Start, that entry was written before.
func runExport(ctx context.Context, cmd *cobra.Command, db *client.DB, s client.Selector, w io.Writer, withoutExpiry bool) error {
	p := newEntryProgress(cmd, "exported", -1)
	defer p.clear()
	n, opaque := 0, 0
	var line []byte
	for entry, err := range db.List(ctx, s) {
		if err != nil {
			return err
		}
		if s.Start != nil && entry.Key.MustEncode() == s.Start.MustEncode() {
			continue
		}
		line = ndjson.Append(line[:0], ndjson.Entry(entry))
		if bytes.Contains(line, []byte(`,"value":{"type":"V8",`)) && entry.Value.Encoding == kv.EncodingV8 {
			opaque++
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
		n++
		p.at(n)
	}
	p.line("exported entries: %d", n)
	if opaque > 0 {
		p.line("of them have a value that @deno/kv-utils cannot read (type V8): %d", opaque)
	}
	if n == 0 {
		return nil
	}
	return checkExpiry(cmd, db, withoutExpiry)
}

// checkExpiry says if db, which was read, does not tell when entries expire.
func checkExpiry(cmd *cobra.Command, db *client.DB, accepted bool) error {
	if db.TellsExpiry() || accepted {
		return nil
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "the server does not tell when entries expire: those that do are carried over as entries that stay; "+
		"--without-expiry accepts that")
	return errIncomplete
}
