package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/internal/recovery"
	"github.com/millpondkv/millpond/kv"
)

func newBackupRunCommand() *cobra.Command {
	var s struct {
		archiveSettings
		originSettings
		Every     time.Duration `config:"every" default:"2s" help:"store what has happened at least so often" tradeoff:"this is what can be lost with the cluster; less makes more and smaller files"`
		FullEvery time.Duration `config:"full-every" default:"24h" help:"add a full copy so often, 0 is never" tradeoff:"more often makes restores faster and the archive larger"`
	}
	cmd := &cobra.Command{
		Use:   "run LOCATION",
		Short: "Keep the archive of a database a few seconds behind it, until interrupted",
		Long: `Keep the archive of a database in LOCATION a few seconds behind it, until interrupted.

It goes on where the archive ends, whatever stopped it before. If the log does not go on there, because it was trimmed or is
another one now, a full copy begins a new piece of the archive, and a warning says so. If the cluster or the location cannot be
reached, it tries again for ever.

In a cluster it notes how far it has come, and the log is not trimmed beyond that, also while it does not run: millpond status shows
this hold, and millpond backup release ends it, for an archive that is given up.`,
		Example: `  millpond backup run /backups --nats nats://a:4222,nats://b:4222 --db orders`,
		Args:    cobra.ExactArgs(1),
	}
	c := bindArchive(cmd, &s, &s.archiveSettings).orCluster()
	c.logging = s.logging
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.do(args[0], func(ctx context.Context, a *backup.Archive) error {
			if s.Every <= 0 || s.FullEvery < 0 {
				return usagef("--every must be more than 0, and --full-every not negative")
			}
			a.Progress = func(string, int64) {}
			run := backup.RunConfig{Every: s.Every, Bytes: backup.DefaultBytes, Merge: backup.DefaultMerge, FullEvery: s.FullEvery, Retry: backup.DefaultRetry}
			return s.source(ctx, s.Database, a.Logger, func(source backup.Source) error {
				if cluster, ok := source.(*recovery.Cluster); ok { // the log of a stopped serve is trimmed by nobody
					run.Archived = recovery.MoveHold(ctx, a.Logger, func(ctx context.Context, at kv.Position) error {
						return cluster.SetHold(ctx, args[0], at)
					})
				}
				return a.Run(ctx, source, run)
			})
		})
	}
	return cmd
}
