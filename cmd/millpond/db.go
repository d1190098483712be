package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/databases"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
)

func newDBCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Show, make, rename and delete the databases of a cluster or a data directory",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDBListCommand(), newDBCreateCommand(), newDBRenameCommand(), newDBDeleteCommand(), newDBUndeleteCommand())
	return cmd
}

func newDBListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show all databases, with their ids and the positions in their logs",
		Long: `Show all databases, with their ids and the first and last position in their logs. It asks NATS, as the servers of a cluster do, or
with --data reads the data directory of a millpond serve that is stopped.`,
		Example: `  millpond db list --nats nats://a:4222,nats://b:4222
  millpond db list --data ./millpond-data -o json
  millpond db list --deleted`,
		Args: cobra.NoArgs,
	}
	source, out := bindLogs(cmd), bindOutput(cmd, "table", "json")
	deleted := cmd.Flags().Bool("deleted", false, "show those that were deleted and can be brought back, and until when")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return source.do(cmd, func(ctx context.Context, js jetstream.JetStream) error {
			if *deleted {
				list, err := databases.Kept(ctx, js)
				if err != nil {
					return err
				}
				return writeDeleted(cmd.OutOrStdout(), out.format, list)
			}
			views, err := listDatabases(ctx, js)
			if err != nil {
				return err
			}
			rows := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for i, v := range views {
				if out.format != "table" {
					if err := writeLine(cmd.OutOrStdout(), v); err != nil {
						return err
					}
					continue
				}
				if i == 0 {
					fmt.Fprintln(rows, "DATABASE\tID\tFIRST\tLAST")
				}
				fmt.Fprintf(rows, "%s\t%s\t%d\t%d\n", v.Name, v.ID, v.First, v.Last)
			}
			return rows.Flush()
		})
	}
	return cmd
}

func newDBCreateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create DATABASE",
		Short: "Make a database",
		Long: `Make a database, empty, and show its id. It is needed where the servers run with --create-databases=false; otherwise a database is
made when it is first used. Over NATS the readers and writers of the cluster find it by themselves; with --data it is there when millpond
serve starts again.`,
		Example: `  millpond db create orders --nats nats://a:4222,nats://b:4222
  millpond db create orders --data ./millpond-data`,
		Args: cobra.ExactArgs(1),
	}
	source, out := bindLogs(cmd), bindOutput(cmd, "table", "json")
	replicas := cmd.Flags().Int("replicas", 3, "how many NATS servers keep the log; a data directory has one")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := args[0]
		if !kvconnect.ValidName(name) {
			return usagef("the name %q cannot be used; use 1 to 64 of a-z, 0-9, _ and -", name)
		}
		return source.do(cmd, func(ctx context.Context, js jetstream.JetStream) error {
			c := natslog.Config{Replicas: *replicas}
			if source.Data != "" {
				c.Replicas = 1
			}
			if _, err := natslog.Open(ctx, js, name); !errors.Is(err, kv.ErrNoDatabase) {
				return cmp.Or(err, fmt.Errorf("there is a database %q already", name))
			}
			log, err := natslog.Create(ctx, js, name, c)
			if err != nil {
				return err
			}
			return out.result(cmd.OutOrStdout(), databaseView{Name: name, ID: log.ID()}, "%s\n", log.ID())
		})
	}
	return cmd
}

// databaseView is a database as "db list" shows it.
type databaseView struct {
	Name  string      `json:"name"`
	ID    string      `json:"id"`
	First kv.Position `json:"first"` // of its log
	Last  kv.Position `json:"last"`
}

func listDatabases(ctx context.Context, js jetstream.JetStream) (views []databaseView, err error) {
	names, err := natslog.List(ctx, js)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		log, err := natslog.Open(ctx, js, name)
		if errors.Is(err, kv.ErrNoDatabase) { // it is being deleted
			continue
		}
		if err != nil {
			return nil, err
		}
		first, last, err := log.Bounds(ctx)
		if err != nil {
			return nil, err
		}
		views = append(views, databaseView{Name: name, ID: log.ID(), First: first, Last: last})
	}
	return views, nil
}
