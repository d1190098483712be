package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/kv"
)

// createdView is a full copy as JSON.
type createdView struct {
	Database    string      `json:"database"`
	Position    kv.Position `json:"position"`
	Bytes       int64       `json:"bytes"`
	StoredBytes int64       `json:"storedBytes"`
}

func newBackupCreateCommand() *cobra.Command {
	var s struct {
		archiveSettings
		originSettings
	}
	cmd := &cobra.Command{
		Use:   "create LOCATION",
		Short: "Add a full copy of a database to its archive",
		Long: `Add a full copy of a database to its archive in LOCATION, which is made if it is absent.

The database may be written to meanwhile. From a cluster its log is read from NATS, and the state folded from it in this process:
that needs as much memory as a reader.`,
		Example: `  millpond backup create /backups --nats nats://a:4222,nats://b:4222 --db orders
  millpond backup create /backups --data /var/lib/millpond`,
		Args: cobra.ExactArgs(1),
	}
	c, out := bindArchive(cmd, &s, &s.archiveSettings).orCluster(), bindOutput(cmd, "table", "json")
	c.logging = s.logging
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.do(args[0], func(ctx context.Context, a *backup.Archive) error {
			return s.source(ctx, s.Database, a.Logger, func(source backup.Source) error {
				m, err := a.Create(ctx, source)
				if err != nil {
					return err
				}
				c.progress.end()
				view := createdView{s.Database, m.End.Applied, m.Plain.Bytes, m.Stored.Bytes}
				return out.result(cmd.OutOrStdout(), view, "archived %q at position %d: %s, stored as %s\n",
					s.Database, m.End.Applied, sizeText(m.Plain.Bytes), sizeText(m.Stored.Bytes))
			})
		})
	}
	return cmd
}
