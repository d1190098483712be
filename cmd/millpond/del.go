package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

// deleteBatch is how many entries one commit deletes below a prefix: of the largest keys as many as fit into a commit.
const deleteBatch = kv.MaxAtomicSize / kv.MaxWriteKeySize

func newDelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "del KEY... | del --prefix PREFIX",
		Short: "Delete entries",
		Long: `Delete the entries of keys, all with one commit, and show its versionstamp. A key without an entry is no error.

With --prefix the entries whose keys begin with the parts of PREFIX and have more are deleted, in several commits if they
are many. They are counted first, and at a terminal you are asked; elsewhere --yes is needed. '[]' is the prefix of
everything.`,
		Example: `  millpond del '["users", "alice"]'
  millpond del '["lock"]' --if-versionstamp 00000000000000070000
  millpond del --prefix '["sessions"]' --yes`,
		Args: cobra.ArbitraryArgs,
	}
	conn, out, guard := bindConnection(cmd), bindOutput(cmd, "table", "json"), bindGuardVersionstamp(cmd)
	var prefix string
	cmd.Flags().StringVar(&prefix, "prefix", "", "delete everything below this `key`; no variable sets it")
	cmd.Flags().SetAnnotation("prefix", noEnv, nil) // a forgotten one would be what is deleted where no keys are named
	sure := bindYes(cmd, "with --prefix: really do it")
	cmd.MarkFlagsMutuallyExclusive("prefix", "if-versionstamp")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch below := cmd.Flags().Changed("prefix"); {
		case below == (len(args) > 0):
			return usagef("name the keys to delete, or one --prefix")
		case below:
			return delPrefix(cmd, conn, out, prefix, sure)
		case len(args) > 1 && guard.versionstamp != "":
			return usagef("--if-versionstamp is for one key")
		}
		return delKeys(cmd, conn, out, guard, args)
	}
	return cmd
}

func bindGuardVersionstamp(cmd *cobra.Command) *guard {
	g := &guard{}
	cmd.Flags().StringVar(&g.versionstamp, "if-versionstamp", "", "only if the entry has this `versionstamp`")
	return g
}

func delKeys(cmd *cobra.Command, conn *connection, out *output, guard *guard, args []string) error {
	keys, err := parseKeys(args)
	if err != nil {
		return err
	}
	conditions, err := guard.conditions(keys[0])
	if err != nil {
		return err
	}
	return conn.once(cmd, func(ctx context.Context, db *client.DB) error {
		atomic := db.Atomic().Check(conditions...)
		for _, key := range keys {
			atomic.Delete(key)
		}
		v, err := atomic.Commit(ctx)
		if err != nil {
			return err
		}
		return out.committed(cmd.OutOrStdout(), keys, v)
	})
}

func delPrefix(cmd *cobra.Command, conn *connection, out *output, prefix string, sure *confirmation) error {
	key, err := parseKey(prefix)
	if err != nil {
		return err
	}
	return conn.do(cmd, func(ctx context.Context, db *client.DB) error {
		s := client.Selector{Prefix: key, BatchSize: deleteBatch}
		if !sure.yes {
			n, err := deleteBelow(ctx, db, s, false)
			if err != nil {
				return err
			}
			if n == 0 {
				return out.deleted(cmd.OutOrStdout(), 0)
			}
			if err := sure.confirm(cmd, fmt.Sprintf("entries below %s that will be deleted: %d", showKey(key), n)); err != nil {
				return err
			}
		}
		n, err := deleteBelow(ctx, db, s, true)
		if err != nil {
			return fmt.Errorf("entries deleted before: %d; then %w", n, err)
		}
		return out.deleted(cmd.OutOrStdout(), n)
	})
}

// deleteBelow deletes what s selects, if really is set, and counts it.
func deleteBelow(ctx context.Context, db *client.DB, s client.Selector, really bool) (n int, err error) {
	var keys []kv.Key
	commit := func() error {
		atomic := db.Atomic()
		for _, key := range keys {
			atomic.Delete(key)
		}
		if _, err := atomic.Commit(ctx); err != nil {
			return err
		}
		n, keys = n+len(keys), nil
		return nil
	}
	for entry, err := range db.List(ctx, s) {
		if err != nil {
			return n, err
		}
		if !really {
			n++
			continue
		}
		if keys = append(keys, entry.Key); len(keys) == deleteBatch {
			if err := commit(); err != nil {
				return n, err
			}
		}
	}
	if len(keys) > 0 {
		err = commit()
		return n, err
	}
	return n, nil
}

func (o *output) deleted(w io.Writer, n int) error {
	return o.result(w, map[string]int{"deleted": n}, "deleted entries: %d\n", n)
}
