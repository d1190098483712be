package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/internal/cli"
	"github.com/millpondkv/millpond/internal/config"
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
	var log *slog.Logger
	load := func() (err error) {
		if err := loader.Load(os.LookupEnv); err != nil {
			return err
		}
		log, err = cli.NewLogger(s.logging().LogFormat, s.logging().LogLevel, cmd.ErrOrStderr())
		if err == nil {
			code = exitError
		}
		return err
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := load(); err != nil {
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
	cli.Prepare(cmd)
	var address *net.AddrError // it is none
	var settings *SettingsError
	ran, err := cmd.ExecuteContextC(context.Background())
	switch {
	case err == nil:
		return 0
	case code == exitUsage, errors.As(err, &address), errors.As(err, &settings):
		code = exitUsage
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\nSee: %s --help\n", cmd.Name(), cli.ArgsError(ran, err), ran.CommandPath())
	default:
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", cmd.Name(), err)
	}
	return code
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
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("nothing listens at %s; start the program, or name the address it was started with", addr)
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("not ready: %s", bytes.TrimSpace(text))
	}
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	return err
}
