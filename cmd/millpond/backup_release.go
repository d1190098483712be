package main

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
)

func newBackupReleaseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "release HOLD",
		Short: "Let a cluster trim the log that a backup held which is given up",
		Long: `Let a cluster trim the log of a database that a backup held which is given up. What the backup has not archived by then is not in its
archive any more, should it go on after all: it would begin a new piece with a full copy.

millpond status shows the holds with their names. A backup that runs makes its hold anew within seconds, so stop it first.`,
		Example: `  millpond backup release backup-1f0c62aa --db orders`,
		Args:    cobra.ExactArgs(1),
	}
	conn := bindNATS(cmd)
	database := cmd.Flags().String("db", "default", "the `database`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return conn.do(cmd, func(ctx context.Context, c *nats.Conn) error {
			return release(ctx, c, *database, args[0])
		})
	}
	return cmd
}

func release(ctx context.Context, conn *nats.Conn, database, hold string) error {
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	log, err := natslog.Open(ctx, js, database)
	if err != nil {
		return err
	}
	holds, err := checkpoints.OpenHolds(ctx, js, checkpoints.Config{})
	if err != nil {
		return err
	}
	return holds.Remove(ctx, log.ID(), hold)
}
