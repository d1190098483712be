package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/internal/cluster"
	"github.com/millpondkv/millpond/internal/config"
)

// logs is what a command needs to read logs: a cluster's NATS, or the data directory of a stopped "millpond serve".
type logs struct {
	cluster.NATS
	Data   string `config:"data" help:"read the logs of this data directory of a stopped millpond serve, instead of asking NATS"`
	loader *config.Loader
}

func bindLogs(cmd *cobra.Command) *logs {
	l := &logs{}
	l.loader = config.Bind(cmd.Flags(), l)
	bindContext(cmd)
	return l
}

// do calls f with the logs. The context ends with an interrupt.
func (l *logs) do(cmd *cobra.Command, f func(context.Context, jetstream.JetStream) error) error {
	address := "nats"
	if cmd.Flag("data").Value.String() != "" {
		address = ""
	}
	ctx, stop, err := begin(cmd, l.loader, address)
	if err != nil {
		return err
	}
	defer stop()
	if l.Data != "" {
		stopped, err := engine.OpenLogs(l.Data, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		return errors.Join(f(ctx, stopped.JetStream()), stopped.Close())
	}
	conn, err := l.Dial("millpond " + cmd.Name())
	if err != nil {
		return &advisedError{err, err.Error() + "; of a millpond serve that is stopped, name the directory with --data"}
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	return f(ctx, js)
}
