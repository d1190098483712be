package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/config"
)

// connection is what every command needs to reach its database.
type connection struct {
	URL         string        `config:"url" env:"DENO_KV_URL" default:"http://127.0.0.1:4512" help:"the database; with Millpond its name is the path, as in http://127.0.0.1:4512/orders, or over NATS nats://127.0.0.1:4222/orders"`
	AccessToken string        `config:"access-token" env:"DENO_KV_ACCESS_TOKEN" secret:"true" help:"the server's access token; other users of this machine can see flags, so better use a variable or a file"`
	Timeout     time.Duration `config:"timeout" default:"30s" help:"give up after this time, 0 is never; list and watch go on as long as they are answered"`

	loader *config.Loader
	logger *slog.Logger // to stderr: what the client does by itself, such as making a lost connection anew
}

func bindConnection(cmd *cobra.Command) *connection {
	c := &connection{}
	c.loader = config.Bind(cmd.Flags(), c)
	bindContext(cmd)
	return c
}

// once is do for a command that asks once: f's context ends with the timeout too.
func (c *connection) once(cmd *cobra.Command, f func(context.Context, *client.DB) error) error {
	return c.do(cmd, func(ctx context.Context, db *client.DB) error {
		ctx, cancel := c.bounded(ctx)
		defer cancel()
		return f(ctx, db)
	})
}

// do opens the database and calls f with it. The context ends with an interrupt. Once f runs there is no timeout.
func (c *connection) do(cmd *cobra.Command, f func(context.Context, *client.DB) error) error {
	ctx, stop, err := begin(cmd, c.loader, "url")
	if err != nil {
		return err
	}
	defer stop()
	c.logger = slog.New(tint.NewTextHandler(cmd.ErrOrStderr(), &tint.Options{Level: slog.LevelWarn, NoColor: true}))
	return c.remote().advise(c.open(ctx, f))
}

func (c *connection) remote() remote {
	return remote{
		url: c.URL, urlFrom: "--url or MILLPOND_URL",
		token: c.AccessToken, tokenSource: c.loader.Source("access-token"), tokenFrom: "set DENO_KV_ACCESS_TOKEN to the server's, or use --access-token-file",
	}
}

// begin loads the settings, those of a context among them unless address is "", and returns a context that ends with an interrupt.
func begin(cmd *cobra.Command, loader *config.Loader, address string) (context.Context, context.CancelFunc, error) {
	if address != "" {
		if err := useContext(cmd, loader, address); err != nil {
			return nil, nil, err
		}
	}
	if err := loader.Load(os.LookupEnv); err != nil {
		return nil, nil, &usageError{err}
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
	return ctx, stop, nil
}

func (c *connection) open(ctx context.Context, f func(context.Context, *client.DB) error) error {
	opening, cancel := c.bounded(ctx)
	defer cancel()
	db, err := client.Open(opening, c.URL, client.WithAccessToken(c.AccessToken), client.WithLogger(c.logger))
	if err != nil {
		return err
	}
	defer db.Close()
	return f(ctx, db)
}

// bounded returns ctx with the timeout.
func (c *connection) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.Timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.Timeout)
}
