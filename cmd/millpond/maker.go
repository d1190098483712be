package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/internal/cluster"
	"github.com/millpondkv/millpond/internal/config"
	"github.com/millpondkv/millpond/internal/databases"
	"github.com/millpondkv/millpond/internal/recovery"
)

// placeSettings say where databases are made: in a cluster, or in a data directory.
type placeSettings struct {
	Data     string `config:"data" help:"in this data directory of millpond serve, which must not run now, and not in the cluster of --nats or a context"`
	Replicas int    `config:"replicas" default:"3" help:"how many NATS servers of a cluster keep what is made"`
	cluster.NATS
}

// useCluster takes the settings of a context, for a command that may speak to a cluster: unless --data says that it does not.
func useCluster(cmd *cobra.Command, loader *config.Loader) error {
	if dataGiven(cmd) {
		return nil
	}
	return useContext(cmd, loader, "nats")
}

func dataGiven(cmd *cobra.Command) bool {
	return cmd.Flag("data").Changed || os.Getenv("MILLPOND_DATA") != ""
}

// clusterGiven reports whether a flag, a variable, a settings file or a context says which cluster is meant.
func clusterGiven(cmd *cobra.Command) bool {
	if dataGiven(cmd) {
		return false
	}
	all, err := readContexts()
	return cmd.Flag("context").Value.String() != "" || os.Getenv(contextEnv) != "" || givenElsewhere(cmd, "nats") || err == nil && all.Current != ""
}

// inDirectory calls f with the data directory, which is made if it is absent and create is set.
func (s *placeSettings) inDirectory(create bool, logger *slog.Logger, f func(*engine.Stopped) error) error {
	dir, err := engine.OpenStopped(s.Data, create, logger)
	if err != nil {
		return err
	}
	return errors.Join(f(dir), dir.Close())
}

// inCluster calls f with the databases of the cluster.
func (s *placeSettings) inCluster(ctx context.Context, name string, logger *slog.Logger, f func(*databases.Databases) error) error {
	conn, err := s.Dial(name)
	if err != nil {
		return err
	}
	defer conn.Close()
	d, err := databases.Open(ctx, conn, databases.Config{Replicas: s.Replicas, Logger: logger})
	if err != nil {
		return err
	}
	return f(d)
}

// source calls f with a database of the cluster.
func (s *placeSettings) source(ctx context.Context, name, database string, f func(recovery.Source) error) error {
	source, err := recovery.OpenCluster(ctx, func() (*nats.Conn, error) { return s.Dial(name) }, database)
	if err != nil {
		return err
	}
	defer source.Close()
	return f(source)
}
