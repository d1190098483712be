package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/internal/config"
	"github.com/millpondkv/millpond/internal/databases"
)

// changing is a command that makes databases or takes them away: in a cluster, or in a data directory.
type changing struct {
	placeSettings
	loader *config.Loader
}

func bindChanging(cmd *cobra.Command) *changing {
	c := &changing{}
	c.loader = config.Bind(cmd.Flags(), &c.placeSettings)
	bindContext(cmd)
	return c
}

// do calls f with the databases. The context ends with an interrupt; what was begun then, the same command goes on with.
func (c *changing) do(cmd *cobra.Command, f func(context.Context, *databases.Databases) error) error {
	if err := useCluster(cmd, c.loader); err != nil {
		return err
	}
	if err := c.loader.Load(os.LookupEnv); err != nil {
		return &usageError{err}
	}
	logger, err := newLogger("auto", "warn", cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if c.Data == "" && !clusterGiven(cmd) {
		return usagef("say where the database is: --data for the data directory of a millpond serve that is stopped, --nats or a context for a cluster")
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
	defer stop()
	if c.Data == "" {
		return c.inCluster(ctx, "millpond db "+cmd.Name(), logger, func(d *databases.Databases) error { return f(ctx, d) })
	}
	return c.inDirectory(false, logger, func(dir *engine.Stopped) error {
		d, err := databases.Open(ctx, dir.Conn(), databases.Config{Replicas: 1, Quiet: time.Nanosecond, Logger: logger, State: dir.State, Backlog: dir.Backlog, Forget: dir.Forget})
		if err != nil {
			return err
		}
		return f(ctx, d)
	})
}

// defaultHistory is for how long what is deleted can be had again.
const defaultHistory = 7 * 24 * time.Hour

func newDBDeleteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete DATABASE",
		Short: "Delete a database; for some days it can be brought back",
		Long: `Delete a database. Its last state and the messages of its queue that were not handled are kept for the time of --history: until then
"millpond db undelete" brings it back. What is in its log of the time before is gone; an archive has it.

The database is closed first, while its programs run: what they write from then on fails. A deletion that was interrupted is gone on with by
the same command, or turned back by undelete.`,
		Example: `  millpond db delete orders --nats nats://a:4222,nats://b:4222
  millpond db delete orders --data ./millpond-data --yes`,
		Args: cobra.ExactArgs(1),
	}
	c := bindChanging(cmd)
	history := cmd.Flags().Duration("history", defaultHistory, "keep it for so long")
	sure := bindYes(cmd, "delete without asking")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *history < 0 {
			return usagef("--history must not be negative")
		}
		if err := checkName("delete", args[0]); err != nil {
			return err
		}
		if err := sure.confirm(cmd, fmt.Sprintf("the database %q will be deleted; it can be brought back for %v", args[0], *history)); err != nil {
			return err
		}
		return c.do(cmd, func(ctx context.Context, d *databases.Databases) error {
			t, err := d.Delete(ctx, args[0], *history)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "deleted %q, %s; it can be brought back until %s\n", t.Name, t.ID, t.Until.Format(time.RFC3339))
			return err
		})
	}
	return cmd
}

func newDBUndeleteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "undelete DATABASE",
		Short: "Bring a deleted database back",
		Long: `Bring a database back that was deleted, with its entries, their versionstamps, and the messages of its queue. It gets a new id, and
programs connect anew. "millpond db list --deleted" shows what can be brought back.`,
		Example: `  millpond db undelete orders --nats nats://a:4222,nats://b:4222
  millpond db undelete orders --as orders-before`,
		Args: cobra.ExactArgs(1),
	}
	c := bindChanging(cmd)
	as := cmd.Flags().String("as", "", "give it this name, if its own is in use")
	id := cmd.Flags().String("id", "", "the one with this id, if several of that name were deleted; without it the last one")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := cmp.Or(*as, args[0])
		if err := cmp.Or(checkName("undelete", args[0]), checkName("--as", name)); err != nil {
			return err
		}
		return c.do(cmd, func(ctx context.Context, d *databases.Databases) error {
			now, err := d.Undelete(ctx, args[0], *id, name)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%q is back, as it was when it was deleted\n", now)
			return err
		})
	}
	return cmd
}

func newDBRenameCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rename DATABASE NEW",
		Short: "Give a database another name",
		Long: `Give a database another name, which must not be in use. It is closed first, while its programs run, and is there again under the new
name, with its entries, their versionstamps, and the messages of its queue; but with a new id and without its log of the time before.

A rename that was interrupted is gone on with by the same command.`,
		Example: `  millpond db rename orders orders-2026 --nats nats://a:4222,nats://b:4222`,
		Args:    cobra.ExactArgs(2),
	}
	c := bindChanging(cmd)
	sure := bindYes(cmd, "rename without asking")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, name := range args {
			if err := checkName("rename", name); err != nil {
				return err
			}
		}
		if err := sure.confirm(cmd, fmt.Sprintf("the database %q will be closed, and be there as %q; its log of the time before is removed", args[0], args[1])); err != nil {
			return err
		}
		return c.do(cmd, func(ctx context.Context, d *databases.Databases) error {
			if err := d.Rename(ctx, args[0], args[1], defaultHistory); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%q is named %q now\n", args[0], args[1])
			return err
		})
	}
	return cmd
}

// writeDeleted shows what was deleted.
func writeDeleted(w io.Writer, format string, list []databases.Deleted) error {
	rows := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, t := range list {
		if format != "table" {
			if err := writeLine(w, t); err != nil {
				return err
			}
			continue
		}
		if i == 0 {
			fmt.Fprintln(rows, "DATABASE\tID\tDELETED\tUNTIL\tMESSAGES")
		}
		fmt.Fprintf(rows, "%s\t%s\t%s\t%s\t%d\n", t.Name, t.ID, t.Deleted.Format(time.RFC3339), t.Until.Format(time.RFC3339), t.Messages)
	}
	return rows.Flush()
}
