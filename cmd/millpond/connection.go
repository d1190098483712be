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
	URL         string        `config:"url" env:"DENO_KV_URL" default:"http://127.0.0.1:4512" help:"the database; with Millpond its name is the path, as in http://127.0.0.1:4512/orders"`
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

// do opens the database and calls f with it. The context ends with an interrupt. Once f runs there is no timeout; see
// bounded.
func (c *connection) do(cmd *cobra.Command, f func(context.Context, *client.DB) error) error {
	if err := useContext(cmd, c.loader, "url"); err != nil {
		return err
	}
	if err := c.loader.Load(os.LookupEnv); err != nil {
		return &usageError{err}
	}
	c.logger = slog.New(tint.NewTextHandler(cmd.ErrOrStderr(), &tint.Options{Level: slog.LevelWarn, NoColor: true}))
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
	defer stop()
	return c.remote().advise(c.open(ctx, f))
}

func (c *connection) remote() remote {
	return remote{
		url: c.URL, urlFrom: "--url or MILLPOND_URL",
		token: c.AccessToken, tokenSource: c.loader.Source("access-token"), tokenFrom: "set DENO_KV_ACCESS_TOKEN to the server's, or use --access-token-file",
	}
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
