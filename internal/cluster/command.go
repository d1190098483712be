package cluster

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/millpondkv/millpond/internal/config"
	"github.com/spf13/cobra"
)

// Settings are those of one program of a cluster: a *ReaderConfig or a *WriterConfig.
type Settings interface {
	// Run runs the program until ctx ends.
	Run(ctx context.Context, log *slog.Logger) error
	logging() *Logging
	healthAddr() string // that /readyz is on
}

// The exit codes of a program.
const (
	exitError = 1
	exitUsage = 2
)

// Execute runs a program with the arguments of this process and returns its exit code. The command describes the program;
// s is filled from its flags, the environment and a file.
func Execute(cmd *cobra.Command, s Settings) int {
	code := exitUsage // until a command begins
	cmd.Args, cmd.SilenceErrors, cmd.SilenceUsage = cobra.NoArgs, true, true
	loader := config.Bind(cmd.PersistentFlags(), s)
	load := func() error {
		err := loader.Load(os.LookupEnv)
		if err == nil {
			code = exitError
		}
		return err
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := load(); err != nil {
			return err
		}
		log, err := newLogger(s.logging().LogFormat, s.logging().LogLevel, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // a second signal ends the process at once
		return s.Run(ctx, log)
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "health",
		Short: "Ask the program that runs with the same settings whether it is ready; exit code 0 says that it is",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := load(); err != nil {
				return err
			}
			return health(cmd.Context(), s.healthAddr(), cmd.OutOrStdout())
		},
	})
	if err := cmd.ExecuteContext(context.Background()); err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", cmd.Name(), err)
		if code == exitUsage {
			fmt.Fprintf(cmd.ErrOrStderr(), "See: %s --help\n", cmd.Name())
		}
		return code
	}
	return 0
}

// healthTimeout is below that of a container engine's health check.
const healthTimeout = 2 * time.Second

func health(ctx context.Context, addr string, out io.Writer) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("not ready: %s", text)
	}
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	return err
}

func newLogger(format, level string, w io.Writer) (*slog.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("the log level %q is not one of debug, info, warn and error", level)
	}
	options := &slog.HandlerOptions{Level: least}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	case "text", "auto":
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return nil, fmt.Errorf("the log format %q is not one of auto, text and json", format)
}
