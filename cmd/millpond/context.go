package main

import (
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func newContextCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "context",
		Short: "Keep the addresses of servers by name",
		Long: `Keep the addresses of servers, and where their access tokens are, by name. They are in contexts.yaml in the directory millpond of
$XDG_CONFIG_HOME (by default ~/.config), which only you can read. Secrets themselves are not kept.

A command uses the context that --context or MILLPOND_CONTEXT names, otherwise the current one. Where the server is named in another
way (--url, MILLPOND_URL, DENO_KV_URL, --config), the current context is not used at all. Of a context that is used, every setting
comes before the environment, and flags come before both.`,
		Example: `  millpond context add prod --url https://kv.example.com --access-token-file ~/.secrets/prod --use
  millpond context add local --url http://127.0.0.1:4512 --access-token-env LOCAL_TOKEN
  millpond list --context local`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newContextAddCommand(), newContextListCommand(), newContextUseCommand(), newContextRemoveCommand())
	return cmd
}

var contextName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

func newContextAddCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Keep a server under a name",
		Long: `Keep a server under a name. --set keeps other settings with which commands reach servers, such as --set timeout=5s or
--set nats=nats://a:4222,nats://b:4222 --set nats-creds=/home/me/a.creds for those that speak to a cluster over NATS.

What is kept is said each time: no environment variable sets these flags.`,
		Args:        cobra.ExactArgs(1),
		Annotations: map[string]string{noEnv: "true"},
	}
	var address, file, env string
	var more []string
	var use bool
	cmd.Flags().StringVar(&address, "url", "", "the database, as in https://kv.example.com/orders, or over NATS nats://a,b,c/orders")
	cmd.Flags().StringVar(&file, "access-token-file", "", "the `file` that has the access token")
	cmd.Flags().StringVar(&env, "access-token-env", "", "the `variable` that has the access token")
	cmd.Flags().StringArrayVar(&more, "set", nil, "another `setting=value`")
	cmd.Flags().BoolVar(&use, "use", false, "make it the current context")
	cmd.MarkFlagsMutuallyExclusive("access-token-file", "access-token-env")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		settings := map[string]string{}
		for name, value := range map[string]string{"url": address, "access-token-file": file, "access-token-env": env} {
			if value != "" {
				settings[name] = value
			}
		}
		if err := addSettings(settings, more); err != nil {
			return err
		}
		if err := makeAbsolute(settings); err != nil {
			return err
		}
		return addContext(args[0], settings, use)
	}
	return cmd
}

// addSettings reads "setting=value". It takes no secrets.
func addSettings(settings map[string]string, texts []string) error {
	known := contextSettings()
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		base, isEnv := strings.CutSuffix(name, secretEnv)
		secret, exists := known[base]
		switch {
		case !ok || value == "":
			return usagef("--set %q is not a setting and a value, as in timeout=5s", text)
		case isEnv && exists && secret:
		case !exists || isEnv:
			return usagef("there is no setting %q; there are: %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		case secret:
			return usagef("%s is a secret, which is not kept in a context; set %s-file to a file that has it, or %s-env to a variable", name, name, name)
		}
		settings[name] = value
	}
	return nil
}

// makeAbsolute makes the files that settings name independent of the directory in which a command runs.
func makeAbsolute(settings map[string]string) (err error) {
	for _, name := range []string{"access-token-file", "nats-creds", "nats-ca", "nats-cert", "nats-key"} {
		if settings[name] != "" && err == nil {
			settings[name], err = filepath.Abs(settings[name])
		}
	}
	return err
}

// usableURL reports whether the client may know what to do with the URL. One of NATS can have several hosts, which is no URL to net/url.
func usableURL(s string) bool {
	if scheme, rest, _ := strings.Cut(s, "://"); scheme == "nats" || scheme == "tls" {
		return rest != "" && rest[0] != '/'
	}
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

func addContext(name string, settings map[string]string, use bool) error {
	if !contextName.MatchString(name) {
		return usagef("the name %q cannot be used; use letters, digits, '-', '_' and '.'", name)
	}
	if settings["url"] == "" && settings["nats"] == "" {
		return usagef("say where the server is, with --url or --set nats=…")
	}
	if settings["url"] != "" && !usableURL(settings["url"]) {
		return usagef("the URL %q cannot be used; write one such as http://127.0.0.1:4512, or nats://127.0.0.1:4222/default in a cluster", settings["url"])
	}
	all, err := readContexts()
	if err != nil {
		return err
	}
	if _, ok := all.Contexts[name]; ok {
		return usagef("there is a context %s already; remove it first", name)
	}
	if all.Contexts == nil {
		all.Contexts = map[string]map[string]string{}
	}
	all.Contexts[name] = settings
	if use {
		all.Current = name
	}
	return all.write()
}

func newContextListCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "Show all contexts", Args: cobra.NoArgs}
	out := bindOutput(cmd, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		all, err := readContexts()
		if err != nil {
			return err
		}
		if len(all.Contexts) == 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), "there are no contexts; make one with \"millpond context add\"")
		}
		rows := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for i, name := range slices.Sorted(maps.Keys(all.Contexts)) {
			if out.format != "table" {
				if err := writeLine(cmd.OutOrStdout(), contextView{name, name == all.Current, all.Contexts[name]}); err != nil {
					return err
				}
				continue
			}
			if i == 0 {
				fmt.Fprintln(rows, "CURRENT\tNAME\tSETTINGS")
			}
			fmt.Fprintf(rows, "%s\t%s\t%s\n", map[bool]string{true: "*"}[name == all.Current], name, showSettings(all.Contexts[name]))
		}
		return rows.Flush()
	}
	return cmd
}

// contextView is a context as JSON.
type contextView struct {
	Name     string            `json:"name"`
	Current  bool              `json:"current"`
	Settings map[string]string `json:"settings"`
}

// masked finds the password, or token, of a URL.
var masked = regexp.MustCompile(`(://(?:[^/@,:]*:)?)[^/@,:]+@`)

func showSettings(settings map[string]string) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		texts = append(texts, name+"="+masked.ReplaceAllString(settings[name], "${1}xxxxx@"))
	}
	return strings.Join(texts, " ")
}

func newContextUseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "use NAME | use --none",
		Short:             "Make a context the current one, or none",
		Args:              cobra.MaximumNArgs(1),
		Annotations:       map[string]string{noEnv: "true"},
		ValidArgsFunction: completeContexts,
	}
	none := cmd.Flags().Bool("none", false, "let no context be the current one")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if *none == (len(args) == 1) {
			return usagef("name one context, or use --none")
		}
		all, err := readContexts()
		if err != nil {
			return err
		}
		all.Current = ""
		if len(args) == 1 {
			all.Current = args[0]
			if _, err := all.get(args[0]); err != nil {
				return err
			}
		}
		return all.write()
	}
	return cmd
}

func newContextRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "remove NAME",
		Short:             "Forget a context",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeContexts,
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := readContexts()
			if err != nil {
				return err
			}
			if _, err := all.get(args[0]); err != nil {
				return err
			}
			delete(all.Contexts, args[0])
			if all.Current == args[0] {
				all.Current = ""
			}
			return all.write()
		},
	}
}
