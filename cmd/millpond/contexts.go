package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/millpondkv/millpond/internal/cluster"
	"github.com/millpondkv/millpond/internal/config"
	"github.com/millpondkv/millpond/internal/syncfile"
)

// contextEnv is the variable that names a context, as --context does.
const contextEnv = "MILLPOND_CONTEXT"

// secretEnv is the end of a context's setting that names a variable which has a secret.
const secretEnv = "-env"

// contexts is the file with the settings that a user keeps by name. It has no secrets, only where they are.
type contexts struct {
	Current  string                       `yaml:"current,omitempty"`
	Contexts map[string]map[string]string `yaml:"contexts"` // settings by name
}

func contextsFile() (string, error) {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return "", fmt.Errorf("find the directory of the contexts: %w; set XDG_CONFIG_HOME", err)
		}
	}
	return filepath.Join(dir, "millpond", "contexts.yaml"), nil
}

// readContexts returns what the file has, nothing if there is none.
func readContexts() (*contexts, error) {
	c := &contexts{Contexts: map[string]map[string]string{}}
	path, err := contextsFile()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return c, nil
	case err != nil:
		return nil, fmt.Errorf("read the contexts: %w", err)
	}
	if err := yaml.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("the contexts in %s cannot be read: %w; mend the file or delete it", path, err)
	}
	return c, nil
}

// write keeps the contexts in a file that only its owner can read.
func (c *contexts) write() error {
	path, err := contextsFile()
	if err != nil {
		return err
	}
	data, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	if err := syncfile.Write(path, data); err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	return nil
}

// get returns the settings of a context.
func (c *contexts) get(name string) (map[string]string, error) {
	settings, ok := c.Contexts[name]
	if !ok {
		known := strings.Join(slices.Sorted(maps.Keys(c.Contexts)), ", ")
		if known == "" {
			return nil, usagef("there is no context %q, nor any other; make one with \"millpond context add\"", name)
		}
		return nil, usagef("there is no context %q; there are: %s", name, known)
	}
	return settings, nil
}

// contextSettings returns the settings that a context can have, and whether they are secret: those with which a server is reached.
func contextSettings() map[string]bool {
	known := config.Bind(pflag.NewFlagSet("", pflag.ContinueOnError), &connection{}).Names()
	maps.Copy(known, config.Bind(pflag.NewFlagSet("", pflag.ContinueOnError), &cluster.NATS{}).Names())
	return known
}

func bindContext(cmd *cobra.Command) {
	cmd.Flags().String("context", "", "use the settings of this context, see \"millpond context\" ["+contextEnv+"]")
	cmd.RegisterFlagCompletionFunc("context", completeContexts)
}

func completeContexts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	c, err := readContexts()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return slices.Sorted(maps.Keys(c.Contexts)), cobra.ShellCompDirectiveNoFileComp
}

// useContext makes the context that --context, the variable or the contexts file names a source of settings, right behind the
// flags. The setting address says which server is meant: if it comes from elsewhere no context is used, and if it comes from a
// context so does the token that is there, so that no server gets the token of another one.
func useContext(cmd *cobra.Command, loader *config.Loader, address string) error {
	chosen, source := cmd.Flag("context").Value.String(), "--context"
	if chosen == "" {
		chosen, source = os.Getenv(contextEnv), contextEnv
	}
	elsewhere := givenElsewhere(cmd, address)
	switch {
	case chosen != "" && cmd.Flag(address).Changed:
		return usagef("--%s and %s %s name two servers; use one of them", address, source, chosen)
	case chosen == "" && elsewhere:
		return nil
	}
	all, err := readContexts()
	if err != nil {
		return err
	}
	name := chosen
	if name == "" {
		name = all.Current
	}
	if name == "" {
		return nil
	}
	settings, err := all.get(name)
	if err != nil {
		return err
	}
	if settings[address] == "" {
		return usagef("the context %s does not say where the server is for this command; add --%s", name, address)
	}
	values, err := resolve(name, settings)
	loader.Use(config.Preset{Source: "context " + name, Values: values})
	return err
}

// givenElsewhere reports whether a flag, a variable or a settings file is there that says which server is meant.
func givenElsewhere(cmd *cobra.Command, address string) bool {
	given := cmd.Flag(address).Changed || cmd.Flag("config").Changed || os.Getenv("MILLPOND_CONFIG") != ""
	for _, name := range addressVariables[address] {
		given = given || os.Getenv(name) != ""
	}
	return given
}

// addressVariables has the variables of the settings that say which server is meant.
var addressVariables = map[string][]string{"url": {"MILLPOND_URL", "DENO_KV_URL"}, "nats": {"MILLPOND_NATS"}}

// resolve returns the settings with the secrets that variables have.
func resolve(name string, settings map[string]string) (map[string]string, error) {
	values := map[string]string{}
	for setting, value := range settings {
		secret, ok := strings.CutSuffix(setting, secretEnv)
		if !ok {
			values[setting] = value
			continue
		}
		if values[secret] = os.Getenv(value); values[secret] == "" {
			return nil, usagef("the variable %s is not set; the context %s takes its %s from there", value, name, secret)
		}
	}
	return values, nil
}
