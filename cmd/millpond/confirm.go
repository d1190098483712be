package main

import (
	"bufio"
	"fmt"
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
	fmt.Fprintf(cmd.ErrOrStderr(), "%s. Go on? [y/N] ", what)
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return fmt.Errorf("nothing was done")
}
