package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/millpondkv/millpond/internal/cli"
)

// The help of every command fits a terminal, has an example if the command takes arguments, and names a variable for each flag.
func TestHelpOfAllCommands(t *testing.T) {
	var running bool
	root := newRootCommand(&running)
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		var help strings.Builder
		cmd.SetOut(&help)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(help.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > cli.Width {
				t.Errorf("%s --help: %d columns: %s", cmd.CommandPath(), n, line)
			}
		}
		if strings.ContainsAny(cmd.Use, "[") && cmd.Example == "" {
			t.Errorf("%s takes arguments and has no example", cmd.CommandPath())
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			_, none := f.Annotations[noEnv]
			if f.Name != "help" && f.Name != "version" && !none && cmd.Annotations[noEnv] == "" && !strings.Contains(f.Usage, " [MILLPOND_") {
				t.Errorf("%s --%s names no variable", cmd.CommandPath(), f.Name)
			}
		})
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(root)
}

// A variable sets a flag, unless the flag, or one that excludes it, is given.
func TestVariables(t *testing.T) {
	t.Setenv("MILLPOND_IF_ABSENT", "true")
	t.Setenv("MILLPOND_LIMIT", "7")
	flag := func(name string, args ...string) string {
		var running bool
		root := newRootCommand(&running)
		cmd, rest, err := root.Find(args)
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Fatal(err)
		}
		if err := applyEnv(cmd); err != nil {
			t.Fatal(err)
		}
		return cmd.Flag(name).Value.String()
	}
	for want, got := range map[string]string{
		"7":     flag("limit", "list"),
		"8":     flag("limit", "list", "--limit", "8"),
		"true":  flag("if-absent", "set"),
		"false": flag("if-absent", "set", "--if-versionstamp", "x"),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
