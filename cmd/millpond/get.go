package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

func newGetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get KEY...",
		Short: "Show the entries of keys",
		Long: `Show the entries of keys, in their order. Up to 10 keys are read from one snapshot.

With --at the entries are those of a moment in the past, as far back as the server has history.
` + momentHelp + `

With -o raw only the values are shown: strings and bytes exactly as they are, without a line end, everything else as
JavaScript. With -o json each entry is a line, in the form of @deno/kv-utils. Exit code 3 says that a key was not found.`,
		Example: `  millpond get '["users", "alice"]'
  millpond get '["counter"]' '["limit"]' -o json
  millpond get '["avatar", 7n]' -o raw > avatar.png
  millpond get '["users", "alice"]' --at -10m`,
		Args: cobra.MinimumNArgs(1),
	}
	conn, out := bindConnection(cmd), bindOutput(cmd, "table", "json", "raw")
	at := bindMoment(cmd, "at", "read as it was at this `moment`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		keys, err := parseKeys(args)
		if err != nil {
			return err
		}
		return conn.once(cmd, func(ctx context.Context, db *client.DB) error {
			return runGet(ctx, at.reader(db), keys, out.printer(cmd.OutOrStdout()), cmd)
		})
	}
	return cmd
}

func runGet(ctx context.Context, db client.Reader, keys []kv.Key, p printer, cmd *cobra.Command) error {
	missing := 0
	for keys := range slices.Chunk(keys, kv.MaxRanges) {
		entries, err := db.GetMany(ctx, keys...)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if !entry.Exists() {
				missing++
				fmt.Fprintf(cmd.ErrOrStderr(), "millpond: there is no entry at %s\n", showKey(entry.Key))
				continue
			}
			if err := p.entry(entry); err != nil {
				return err
			}
		}
	}
	if err := p.flush(); err != nil {
		return err
	}
	if missing > 0 {
		return errNotFound
	}
	return nil
}
