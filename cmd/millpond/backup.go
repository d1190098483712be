package main

import "github.com/spf13/cobra"

func newBackupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Keep archives of databases, and look after them",
		Long: `Keep archives of databases, and look after them.

An archive has full copies of a database and its log since the first of them, so that the database can be had again as it was
at any of its commits. It is in a directory, LOCATION/DATABASE. "millpond restore" makes a database from it.`,
		Example: `  millpond backup create /backups --data ./millpond-data
  millpond backup run /backups --nats nats://a:4222 --db orders
  millpond backup verify /backups --db orders
  millpond backup prune /backups --db orders --keep 720h`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newBackupCreateCommand(), newBackupRunCommand(), newBackupListCommand(), newBackupVerifyCommand(), newBackupPruneCommand(), newBackupReleaseCommand())
	return cmd
}
