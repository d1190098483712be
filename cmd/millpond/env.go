package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/millpondkv/millpond/internal/cli"
)

// envAnnotation marks the flags that a variable can set too. (Settings of internal/config have their own.)
const envAnnotation = "millpond_env"

// noEnv marks a command whose flags no variable sets, because they say what is kept, not how commands work; and a single such flag.
const noEnv = "millpond_no_env"

// bindEnv gives each flag of cmd, and of the commands below it, a variable, and names it in the help: MILLPOND_OUTPUT for --output.
func bindEnv(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if _, none := f.Annotations[noEnv]; none || cmd.Annotations[noEnv] != "" || strings.Contains(f.Usage, "MILLPOND_") {
			return
		}
		variable := "MILLPOND_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		f.Usage += " [" + variable + "]"
		cmd.Flags().SetAnnotation(f.Name, envAnnotation, []string{variable})
	})
	for _, sub := range cmd.Commands() {
		bindEnv(sub)
	}
}

// applyEnv sets the flags from their variables, save those that were given or that another one excludes which was given.
func applyEnv(cmd *cobra.Command) (err error) {
	given := map[string]bool{} // groups of flags that exclude each other
	cmd.Flags().Visit(func(f *pflag.Flag) {
		for _, group := range exclusive(f) {
			given[group] = true
		}
	})
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		names := f.Annotations[envAnnotation]
		if err != nil || f.Changed || len(names) == 0 {
			return
		}
		for _, group := range exclusive(f) {
			if given[group] {
				return
			}
		}
		if text := os.Getenv(names[0]); text != "" {
			f.Changed = true
			if failed := f.Value.Set(text); failed != nil {
				err = fmt.Errorf("the environment variable %s: %w", names[0], cli.ValueError(f, text, failed))
			}
		}
	})
	return err
}

// exclusive returns the groups that cmd.MarkFlagsMutuallyExclusive has put f into.
func exclusive(f *pflag.Flag) []string { return f.Annotations["cobra_annotation_mutually_exclusive"] }
