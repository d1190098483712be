package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/ndjson"
	"github.com/millpondkv/millpond/kv"
)

func newUndoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "undo KEY --to MOMENT | undo --prefix PREFIX --to MOMENT",
		Short: "Make entries what they were at a moment",
		Long: `Make the entry of KEY, or the entries whose keys begin with the parts of PREFIX and have more,
what they were at a moment, by ordinary commits: what has been written since stays in the
history. '[]' is the prefix of everything. What would have expired since is deleted.

They are counted first, and at a terminal you are asked; elsewhere --yes is needed. --dry-run
shows each of them, as it is and as it would be. Nothing is overwritten that was written after
they were counted, or after the moment --seen, which --dry-run tells: such an entry is listed as
a conflict and left alone, and the exit code is 4. Up to 100 entries are put back with one
commit. When it was interrupted, the same command goes on; name the moments by the versionstamps
that were shown.

` + momentHelp,
		Example: `  millpond undo '["users", "alice"]' --to -10m
  millpond undo --prefix '["users"]' --to 2026-01-31T12:00:00Z --dry-run
  millpond undo --prefix '["users"]' --to 0000000000b5c29f0000 --seen 0000000000b5d01effff --yes`,
		Args: cobra.MaximumNArgs(1),
	}
	conn, out := bindConnection(cmd), bindOutput(cmd, "table", "json")
	u := undo{out: out}
	var prefix string
	var dryRun bool
	to, seen := bindMoment(cmd, "to", "the `moment` when the entries were as they are to be again"),
		bindMoment(cmd, "seen", "leave alone what was changed after this `moment`; without it, now")
	cmd.Flags().StringVar(&prefix, "prefix", "", "undo everything below this `key`")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be done, and do nothing")
	u.sure = bindYes(cmd, "really do it")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		below := cmd.Flags().Changed("prefix")
		switch {
		case below == (len(args) > 0):
			return usagef("name the key to undo, or one --prefix")
		case !to.given():
			return usagef("--to is missing: the state of when?")
		case below:
			u.options.Prefix, err = parseKey(prefix)
		default:
			u.options.Key, err = parseKey(args[0])
		}
		if err != nil {
			return err
		}
		u.options.To, u.options.Seen = to.moment, seen.moment
		return conn.do(cmd, func(ctx context.Context, db *client.DB) error {
			if dryRun {
				return u.show(ctx, cmd, db)
			}
			return u.run(ctx, cmd, db)
		})
	}
	return cmd
}

// undo is the command.
type undo struct {
	options client.UndoOptions
	out     *output
	sure    *confirmation
}

// show lists what would be done.
func (u *undo) show(ctx context.Context, cmd *cobra.Command, db *client.DB) (err error) {
	p := u.out.differencePrinter(cmd.OutOrStdout())
	u.options.DryRun = true
	u.options.Each = func(s client.UndoStep) {
		if err == nil {
			err = p.difference(s.Key, s.Before, s.After)
		}
	}
	result, failed := db.Undo(ctx, u.options)
	if failed != nil {
		return failed
	}
	if err == nil {
		err = p.flush()
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "entries that would be set: %d, deleted: %d\nto do it: --to %s --seen %s\n",
		result.Set, result.Deleted, result.To.Versionstamp, result.Seen.Versionstamp)
	return err
}

// run asks, and does it.
func (u *undo) run(ctx context.Context, cmd *cobra.Command, db *client.DB) error {
	o := u.options
	if !u.sure.yes {
		o.DryRun = true
		counted, err := db.Undo(ctx, o)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("entries that will be set: %d, deleted: %d", counted.Set, counted.Deleted)
		if err := u.sure.confirm(cmd, what); err != nil {
			return err
		}
		o.DryRun, o.To, o.Seen = false, counted.To, counted.Seen
	}
	o.Each = func(s client.UndoStep) {
		if s.Conflict {
			u.out.conflict(cmd, s)
		}
	}
	result, err := db.Undo(ctx, o)
	if err != nil {
		return fmt.Errorf("entries set before: %d, deleted: %d; then %w%s", result.Set, result.Deleted, err, again(result))
	}
	if err := u.out.undone(cmd.OutOrStdout(), result); err != nil {
		return err
	}
	if result.Conflicts > 0 {
		return kv.Errorf(client.ErrCheckFailed, "entries that were changed meanwhile, and left alone: %d%s", result.Conflicts, again(result))
	}
	return nil
}

// again says how to call an undo again, for what it has not done.
func again(r client.UndoResult) string {
	if r.Seen.Versionstamp.IsZero() {
		return ""
	}
	return fmt.Sprintf("\nthe same again: --to %s --seen %s", r.To.Versionstamp, r.Seen.Versionstamp)
}

func (o *output) conflict(cmd *cobra.Command, s client.UndoStep) {
	_, now := showEntry(s.After)
	fmt.Fprintf(cmd.ErrOrStderr(), "millpond: %s was changed meanwhile, and is left as it is: %s\n", showKey(s.Key), now)
	if o.format == "json" {
		line := append(ndjson.AppendKey([]byte(`{"conflict":`), s.Key), "}\n"...)
		cmd.OutOrStdout().Write(line)
	}
}

func (o *output) undone(w io.Writer, r client.UndoResult) error {
	format := "entries set: %d, deleted: %d, conflicts: %d\n"
	if o.format == "json" {
		format = "{\"set\":%d,\"deleted\":%d,\"conflicts\":%d}\n"
	}
	_, err := fmt.Fprintf(w, format, r.Set, r.Deleted, r.Conflicts)
	return err
}
