package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/ndjson"
	"github.com/millpondkv/millpond/kv"
)

func newSetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set KEY VALUE",
		Short: "Write an entry",
		Long: `Write VALUE to KEY and show the versionstamp of the commit.

VALUE is JavaScript or JSON; "-" reads it from stdin. With --u64 it is a whole number that is stored as Deno.KvU64, the
type of counters; with --bytes it names a file (or "-", stdin) whose content is stored as Uint8Array. A value that begins
with "-" comes after "--". What get and list show as a table is read as it is; their JSON is read by "millpond import -".

With --if-absent or --if-versionstamp nothing is written and the exit code is 4 if the entry is not as it has to be.`,
		Example: `  millpond set '["users", "alice"]' '{ name: "Alice", tags: new Set(["admin"]) }'
  millpond set '["session", 7n]' true --expire-in 30m
  millpond set '["counter"]' 0 --u64 --if-absent
  millpond set '["avatar", 7n]' avatar.png --bytes
  millpond set '["balance"]' -- -5`,
		Args: cobra.ExactArgs(2),
	}
	conn, out := bindConnection(cmd), bindOutput(cmd, "table", "json")
	var form valueForm
	cmd.Flags().BoolVar(&form.u64, "u64", false, "store a Deno.KvU64")
	cmd.Flags().BoolVar(&form.bytes, "bytes", false, "store the bytes of the file that VALUE names")
	cmd.MarkFlagsMutuallyExclusive("u64", "bytes")
	guard := bindGuard(cmd)
	var expireIn time.Duration
	cmd.Flags().DurationVar(&expireIn, "expire-in", 0, "let the entry expire after this time, such as 90s or 24h; 0 is never")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		key, err := parseKey(args[0])
		if err != nil {
			return err
		}
		var options []client.SetOption
		switch {
		case expireIn < 0:
			return usagef("--expire-in %v is in the past", expireIn)
		case expireIn > 0:
			options = append(options, client.ExpireIn(expireIn))
		}
		conditions, err := guard.conditions(key)
		if err != nil {
			return err
		}
		value, err := form.parse(args[1], cmd.InOrStdin())
		if err != nil {
			return err
		}
		return conn.once(cmd, func(ctx context.Context, db *client.DB) error {
			v, err := db.Atomic().Check(conditions...).Set(key, value, options...).Commit(ctx)
			if err != nil {
				return err
			}
			return out.committed(cmd.OutOrStdout(), []kv.Key{key}, v)
		})
	}
	return cmd
}

// committed shows what a commit has written: its versionstamp, or a JSON object for each key.
func (o *output) committed(w io.Writer, keys []kv.Key, v kv.Versionstamp) error {
	if o.format != "json" {
		_, err := fmt.Fprintln(w, v)
		return err
	}
	for _, key := range keys {
		if _, err := fmt.Fprintf(w, "{\"key\":%s,\"versionstamp\":\"%s\"}\n", ndjson.AppendKey(nil, key), v); err != nil {
			return err
		}
	}
	return nil
}

// guard is the flags that say how an entry has to be before it is written.
type guard struct {
	absent       bool
	versionstamp string
}

func bindGuard(cmd *cobra.Command) *guard {
	g := &guard{}
	cmd.Flags().BoolVar(&g.absent, "if-absent", false, "only if there is no entry yet")
	cmd.Flags().StringVar(&g.versionstamp, "if-versionstamp", "", "only if the entry has this `versionstamp`")
	cmd.MarkFlagsMutuallyExclusive("if-absent", "if-versionstamp")
	return g
}

func (g *guard) conditions(key kv.Key) ([]client.Condition, error) {
	switch {
	case g.absent:
		return []client.Condition{client.Absent(key)}, nil
	case g.versionstamp != "":
		v, err := kv.ParseVersionstamp(g.versionstamp)
		if err != nil {
			return nil, usagef("--if-versionstamp: %w", err)
		}
		return []client.Condition{client.At(key, v)}, nil
	}
	return nil, nil
}
