package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/internal/cli"
	"github.com/millpondkv/millpond/internal/config"
	"github.com/millpondkv/millpond/internal/serve"
)

func newServeCommand() *cobra.Command {
	var c serve.Config
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve Deno KV from this process",
		Long: `Serve Deno KV from this process, for Deno, Node, Python and this command line.

Each database has a log, synced to disk before a commit is answered, and is served at a path of its own:
http://127.0.0.1:4512 is the database "default", http://127.0.0.1:4512/orders is the database "orders".

Settings come from flags, then the environment (MILLPOND_ADDR for --addr, and so on), then the YAML file that
--config names, then the defaults. GET /livez, /readyz and /metrics are for operators. SIGTERM drains: requests in
flight are finished, watches ended, and the log is closed.`,
		Example: `  millpond serve
  millpond serve --memory
  DENO_KV_ACCESS_TOKEN=$(cat token) millpond serve --data /var/lib/millpond --addr 0.0.0.0:4512`,
		Args: cobra.NoArgs,
	}
	loader := config.Bind(cmd.Flags(), &c)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := loader.Load(os.LookupEnv); err != nil {
			return &usageError{err}
		}
		log, err := newLogger(c.LogFormat, c.LogLevel, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // a second signal ends the process at once
		return serve.Run(ctx, c, cmd.OutOrStdout(), log)
	}
	return cmd
}

// newLogger returns a logger of the given format (auto, text, json) and level.
func newLogger(format, level string, w io.Writer) (*slog.Logger, error) {
	log, err := cli.NewLogger(format, level, w)
	if err != nil {
		return nil, &usageError{err}
	}
	return log, nil
}
