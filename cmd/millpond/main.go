// Command millpond serves Deno KV from one process, and is the command line to any KV Connect server.
package main

import (
	"context"
	"io"
	"os"

	"github.com/millpondkv/millpond/internal/cli"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the command line without the process around it. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	running := false
	root := newRootCommand(&running)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !running {
		err = &usageError{cli.ArgsError(cmd, err)}
	}
	return exit(err, cmd.CommandPath(), stderr)
}
