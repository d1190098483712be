package main

import (
	"cmp"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/internal/cli"
)

// newRootCommand returns the command line. It sets *running when a command begins: errors before that are about usage.
func newRootCommand(running *bool) *cobra.Command {
	root := &cobra.Command{
		Use:   "millpond",
		Short: "Deno KV that you run yourself",
		Long: `Deno KV that you run yourself: "millpond serve" is the server; get, set, del, list and watch read and write any database
that speaks KV Connect: Millpond's, denokv's or Deno Deploy's; status and verify ask a cluster of kvwriters and kvreaders.

Keys are written as JavaScript writes them: '["users", 1, 2n, true, new Uint8Array([1, 2])]'. JSON arrays are keys too.
Values are JavaScript: '{ name: "Alice", born: new Date("1990-01-01") }', 1, 2n, new Map([["a", 1]]), or JSON.

A flag can be set by the environment variable that stands behind it in a command's help; what is given as a flag comes first.

Data goes to stdout, everything else to stderr. All commands have the same exit codes:

    0    done
    1    another error, such as a file that cannot be read or a database that is not there
    2    the command line, a variable or a settings file is wrong; nothing was done
    3    a key was not found
    4    a check failed: the entry is not as it had to be
    5    the access token, or the user of NATS, was refused
    6    the server cannot be reached, or is unavailable
    7    done, but not everything could be carried over; what, is listed
    130  interrupted`,
		Example: `  millpond serve
  millpond set '["users", "alice"]' '{ name: "Alice" }'
  millpond get '["users", "alice"]'
  millpond list '["users"]' -o json
  MILLPOND_URL=http://127.0.0.1:4512/orders millpond watch '["next"]'`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			err := cmp.Or(applyEnv(cmd), cmd.ValidateFlagGroups()) // cobra validates them too, but later
			*running = err == nil
			return err
		},
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.AddCommand(newServeCommand(), newGetCommand(), newSetCommand(), newDelCommand(), newListCommand(), newWatchCommand(),
		newQueueCommand(), newStatusCommand(), newVerifyCommand())
	root.AddCommand(newExportCommand(), newImportCommand(), newContextCommand(), newManCommand(), newDumpLogCommand(), newDBCommand())
	root.AddCommand(newBackupCommand(), newRestoreCommand(), newBranchCommand())
	root.AddCommand(newHistoryCommand(), newDiffCommand(), newUndoCommand())
	bindEnv(root)
	cli.Prepare(root)
	return root
}

// version names the build: the module's version, the commit if it was built in a repository, and Go's version.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	text := info.Main.Version
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if commit := settings["vcs.revision"]; commit != "" {
		text += " commit " + commit[:min(len(commit), 12)]
		if settings["vcs.modified"] == "true" {
			text += " modified"
		}
	}
	return text + " " + info.GoVersion
}
