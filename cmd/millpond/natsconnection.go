package main

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/internal/cluster"
	"github.com/millpondkv/millpond/internal/config"
)

// natsConnection is what a command needs to reach a cluster: the same settings as those of kvreader and kvwriter.
type natsConnection struct {
	cluster.NATS
	loader *config.Loader
}

func bindNATS(cmd *cobra.Command) *natsConnection {
	c := &natsConnection{}
	c.loader = config.Bind(cmd.Flags(), &c.NATS)
	bindContext(cmd)
	return c
}

// do connects and calls f. The context ends with an interrupt.
func (c *natsConnection) do(cmd *cobra.Command, f func(context.Context, *nats.Conn) error) error {
	ctx, stop, err := begin(cmd, c.loader, "nats")
	if err != nil {
		return err
	}
	defer stop()
	conn, err := c.Dial("millpond " + cmd.Name())
	if err != nil {
		return err
	}
	defer conn.Close()
	return f(ctx, conn)
}
