package cli_test

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/internal/cli"
)

// newCommand returns a command line like those of the programs.
func newCommand() *cobra.Command {
	root := &cobra.Command{Use: "pond", Short: "A pond", SilenceErrors: true, SilenceUsage: true, CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true}}
	fish := &cobra.Command{Use: "fish NAME", Short: "Catch a fish", Args: cobra.ExactArgs(1), RunE: func(*cobra.Command, []string) error { return nil },
		Long: strings.Repeat("word ", 50) + "\nnext\n\n  a line   as it is\nafter"}
	fish.Flags().Int("limit", 0, strings.Repeat("many words ", 20))
	fish.Flags().Uint64("from", 0, "where")
	fish.Flags().Duration("for", 0, "so long")
	fish.Flags().Bool("alive", false, "let it go")
	fish.Flags().Bool("dead", false, "eat it")
	fish.MarkFlagsMutuallyExclusive("alive", "dead")
	drain := &cobra.Command{Use: "drain", Args: cobra.NoArgs, RunE: fish.RunE}
	root.AddCommand(fish, drain)
	cli.Prepare(root)
	return root
}

// What is wrong with a command line is said in a sentence of its own, not in those of libraries.
func TestErrors(t *testing.T) {
	for args, want := range map[string]string{
		"fihs":                                   `there is no command "pond fihs"; did you mean fish?`,
		"swim":                                   `there is no command "pond swim"`,
		"fish":                                   `an argument is missing; use it as: pond fish NAME [flags]`,
		"fish a b":                               `2 arguments do not do; use it as: pond fish NAME [flags]`,
		"drain it":                               `1 argument does not do; use it as: pond drain [flags]`,
		"fish a --size 1":                        `there is no flag --size`,
		"fish a -x":                              `there is no flag -x`,
		"fish -5":                                `there is no flag -5; an argument that begins with "-" comes after "--", as in: -- -5`,
		"fish a --limit":                         `--limit needs a value`,
		"fish a --limit x":                       `--limit: "x" is not a whole number`,
		"fish a --from -1":                       `--from: "-1" is not a whole number`,
		"fish a --limit 1e99":                    `--limit: "1e99" is not a whole number`,
		"fish a --for 5":                         `--for: "5" is not a duration; write a number and a unit, such as 500ms, 30s or 2h`,
		"fish a --alive=maybe":                   `--alive: "maybe" is neither true nor false`,
		"fish a --=":                             `"--=" is not a flag`,
		"fish a --alive --dead":                  `--alive and --dead exclude each other; use one of them`,
		"fish a --limit 99999999999999999999999": `--limit: "99999999999999999999999" is too large`,
	} {
		root := newCommand()
		root.SetArgs(strings.Fields(args))
		cmd, err := root.ExecuteC()
		if err == nil {
			t.Errorf("%s: no error", args)
		} else if got := cli.ArgsError(cmd, err).Error(); got != want {
			t.Errorf("%s: %s\nwant %s", args, got, want)
		}
	}
}

// Help fits the width, and what was laid out stays so.
func TestHelp(t *testing.T) {
	var out strings.Builder
	root := newCommand()
	root.SetOut(&out)
	root.SetArgs([]string{"fish", "--help"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > cli.Width+1 {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
	for _, want := range []string{"word next\n\n  a line   as it is\nafter\n\nUsage:\n  pond fish NAME [flags]\n", "\n      --limit int "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
}
