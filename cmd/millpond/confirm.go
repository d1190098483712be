package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/internal/cli"
)

// confirmation is the flag --yes of a command that destroys something.
type confirmation struct{ yes bool }

func bindYes(cmd *cobra.Command, usage string) *confirmation {
	c := &confirmation{}
	cmd.Flags().BoolVarP(&c.yes, "yes", "y", false, usage)
	return c
}

// confirm returns nil if the user wants it: says so with --yes or, at a terminal, when asked. what is a sentence such as "42
// entries will be deleted".
func (c *confirmation) confirm(cmd *cobra.Command, what string) error {
	if c.yes {
		return nil
	}
	if !cli.IsTerminal(cmd.InOrStdin()) || !cli.IsTerminal(cmd.ErrOrStderr()) {
		return usagef("%s; add --yes to do it", what)
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
	defer stop()
	return ask(ctx, cmd.InOrStdin(), cmd.ErrOrStderr(), what)
}

// ask returns nil if the answer that comes from in is yes. It does not wait for one when ctx has ended.
func ask(ctx context.Context, in io.Reader, out io.Writer, what string) error {
	fmt.Fprintf(out, "%s. Go on? [y/N] ", what)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n') // no answer is no
		answer <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(out)
		return ctx.Err()
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return nil
		}
		return errors.New("nothing was done")
	}
}
