package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// envAnnotation marks the flags that a variable can set too. (Settings of internal/config have their own.)
const envAnnotation = "millpond_env"

// bindEnv lets a variable set a flag: MILLPOND_OUTPUT for --output. It is for flags that say how a command works; what it works on
// is said each time.
func bindEnv(cmd *cobra.Command, name string) {
	flag := cmd.Flags().Lookup(name)
	variable := "MILLPOND_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	flag.Usage += " [" + variable + "]"
	cmd.Flags().SetAnnotation(name, envAnnotation, []string{variable})
}

// applyEnv sets the flags that were not given from their variables.
func applyEnv(cmd *cobra.Command) (err error) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		names := f.Annotations[envAnnotation]
		if err != nil || f.Changed || len(names) == 0 {
			return
		}
		if text := os.Getenv(names[0]); text != "" {
			if failed := f.Value.Set(text); failed != nil {
				err = usagef("the environment variable %s is %q: %w", names[0], text, failed)
			}
		}
	})
	return err
}
