package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/config"
	"github.com/millpondkv/millpond/internal/importer"
)

const importHelp = `An import can be stopped at any time and run again: it goes on where it was. Entries are written in atomic commits of up to
100, or with --if-exists overwrite of up to 1,000; they get versionstamps of the new database. Those that have expired are left
out. What cannot be carried over, or not as it was, is listed on stderr, and the exit code is then 7.

--if-exists says what to do with a key that has another value already: "fail" ends the import with exit code 4 and names the key,
"skip" keeps the old entry, "overwrite" replaces it. Where the value is the same already, nothing is to be done.`

func newImportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Write entries from a file, or from another database",
		Long: `Write the entries of FILE ("-" is stdin), which has one as JSON a line, as "millpond export", "millpond list -o json" and
@deno/kv-utils write them.
"millpond import sqlite" reads files of Deno's local KV and of denokv, "millpond import kv" other servers.

` + importHelp,
		Example: `  millpond import all.ndjson --dry-run
  millpond import all.ndjson
  millpond import users.ndjson --prefix '["users"]' --if-exists skip
  millpond export --url http://old:4512 | millpond import -
  millpond get '["users", 1]' -o json --url http://old:4512 | millpond import -`,
		Args: cobra.ExactArgs(1),
	}
	conn, flags, out := bindConnection(cmd), bindImport(cmd), bindOutput(cmd, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		file, err := openFile(args[0], cmd.InOrStdin())
		if err != nil {
			return err
		}
		defer file.Close()
		return conn.do(cmd, func(ctx context.Context, db *client.DB) error {
			err := flags.run(ctx, cmd, db, importer.FromNDJSON(interruptible(ctx, file)), -1, out)
			if errors.Is(err, importer.ErrNoEntries) {
				return fmt.Errorf("%s: %w; each line must be an entry as JSON, as \"millpond export\" writes it", args[0], err)
			}
			return err
		})
	}
	cmd.AddCommand(newImportSQLiteCommand(), newImportKVCommand())
	return cmd
}

func openFile(name string, stdin io.Reader) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(stdin), nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err == nil && info.IsDir() {
		file.Close()
		return nil, usagef("%s is a directory; name a file", name)
	}
	begin := make([]byte, len(importer.SQLiteMagic))
	if n, _ := file.ReadAt(begin, 0); string(begin[:n]) == importer.SQLiteMagic {
		file.Close()
		return nil, usagef("%s is an SQLite database; use: millpond import sqlite %[1]s", name)
	}
	return file, nil
}

// interruptible returns what r has until ctx ends, also if r blocks, as a terminal or a pipe does.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	reader, writer := io.Pipe()
	go func() {
		_, err := io.Copy(writer, r)
		writer.CloseWithError(err) // nil is the end
	}()
	context.AfterFunc(ctx, func() { writer.CloseWithError(ctx.Err()) })
	return reader
}

func newImportSQLiteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sqlite FILE",
		Short: "Write what the database file of Deno's local KV or of denokv has",
		Long: `Write the entries of FILE, the SQLite database of Deno's local KV (the path given to Deno.openKv, or kv.sqlite3 below
"$DENO_DIR/location_data") or of denokv, with their expiry, and enqueue its messages that were not delivered yet. A program may have
the file open; what it has committed when the import starts is carried over, and nothing later. The file is not changed.

A message is known by an entry below ["millpond import"] that expires after 31 days, so that it is enqueued once, however often the
import is run. With --prefix messages are left out.

` + importHelp,
		Example: `  millpond import sqlite kv.sqlite3 --dry-run
  millpond import sqlite kv.sqlite3`,
		Args: cobra.ExactArgs(1),
	}
	conn, flags, out := bindConnection(cmd), bindImport(cmd), bindOutput(cmd, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		file, err := importer.OpenSQLite(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		defer file.Close()
		total, err := file.Count(cmd.Context())
		if err != nil {
			return err
		}
		return conn.do(cmd, func(ctx context.Context, db *client.DB) error {
			return flags.run(ctx, cmd, db, file.Source(ctx), total, out)
		})
	}
	return cmd
}

// importKV is the settings of "import kv": the database that is written, and the token of the one that is read.
type importKV struct {
	connection
	FromAccessToken string `config:"from-access-token" secret:"true" help:"the access token of the server that is read"`
}

func newImportKVCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kv URL",
		Short: "Write the entries of another server of KV Connect",
		Long: `Write the entries of the database at URL: of denokv, Deno Deploy ("https://api.deno.com/databases/UUID/connect") or another
Millpond. What is written there meanwhile may be carried over or not, so stop the programs that write to it.

KV Connect does not tell when entries expire, and does not hand out messages. Millpond's servers tell the expiry; of others, entries
that expire become entries that stay, and the exit code is 7 unless --without-expiry accepts that.

` + importHelp,
		Example: `  millpond import kv http://old:4512 --from-access-token-file old.token --dry-run
  millpond import kv https://api.deno.com/databases/UUID/connect --without-expiry`,
		Args: cobra.ExactArgs(1),
	}
	var settings importKV
	settings.loader = config.Bind(cmd.Flags(), &settings)
	bindContext(cmd)
	flags, out := bindImport(cmd), bindOutput(cmd, "table", "json")
	withoutExpiry := bindWithoutExpiry(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return settings.do(cmd, func(ctx context.Context, db *client.DB) error {
			opening, cancel := settings.bounded(ctx)
			from, err := client.Open(opening, args[0], client.WithAccessToken(settings.FromAccessToken), client.WithLogger(settings.logger))
			cancel()
			if err != nil {
				return settings.failedToRead(args[0], err)
			}
			defer from.Close()
			source := importer.FromDatabase(ctx, from, flags.options.Prefix)
			err = flags.run(ctx, cmd, db, func(yield func(importer.Item, error) bool) {
				for item, err := range source {
					if err != nil {
						err = settings.failedToRead(args[0], err)
					}
					if !yield(item, err) {
						return
					}
				}
			}, -1, out)
			if err != nil && !errors.Is(err, errIncomplete) {
				return err
			}
			return cmp.Or(checkExpiry(cmd, from, *withoutExpiry), err)
		})
	}
	return cmd
}

// failedToRead says that err came from the server that is read.
func (s *importKV) failedToRead(url string, err error) error {
	from := remote{
		url: url, urlFrom: "the URL behind \"import kv\"",
		token: s.FromAccessToken, tokenSource: s.loader.Source("from-access-token"), tokenFrom: "use --from-access-token-file",
	}
	advised := from.advise(err)
	if advised == err {
		return &advisedError{err, fmt.Sprintf("read %s: %v", url, err)}
	}
	return advised
}

// importFlags are those of every import.
type importFlags struct {
	options          importer.Options
	prefix, ifExists string
}

func bindImport(cmd *cobra.Command) *importFlags {
	f := &importFlags{}
	cmd.Flags().StringVar(&f.prefix, "prefix", "", "only entries below this `key`")
	cmd.Flags().StringVar(&f.ifExists, "if-exists", string(importer.Fail), "what to do with another entry that is there: fail, skip or overwrite")
	cmd.Flags().BoolVar(&f.options.DryRun, "dry-run", false, "write nothing, say what would be written")
	cmd.RegisterFlagCompletionFunc("if-exists", cobra.FixedCompletions([]string{"fail", "skip", "overwrite"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.PreRunE = func(*cobra.Command, []string) error { return f.parse() }
	return f
}

func (f *importFlags) parse() (err error) {
	switch f.options.IfExists = importer.IfExists(f.ifExists); f.options.IfExists {
	case importer.Fail, importer.Skip, importer.Overwrite:
	default:
		return usagef("--if-exists %q is not fail, skip or overwrite", f.ifExists)
	}
	if f.prefix != "" {
		f.options.Prefix, err = parseKey(f.prefix)
	}
	return err
}

// errIncomplete says that a command is done, but not all could be carried over; what, it has said.
var errIncomplete = errors.New("not everything could be carried over as it was; what, is listed above")

// run imports and shows the counts.
func (f *importFlags) run(ctx context.Context, cmd *cobra.Command, db *client.DB, source importer.Source, total int, out *output) error {
	p := newEntryProgress(cmd, "imported", total)
	f.options.Now = time.Now
	f.options.Lost = func(name string, err error) { p.line("%.200s: %v", name, err) }
	f.options.Progress = func(c importer.Counts) { p.at(c.Items()) }
	counts, err := importer.Run(ctx, db, source, f.options)
	p.clear()
	if errors.Is(err, importer.ErrNoEntries) {
		return err
	}
	if err := out.imported(cmd.OutOrStdout(), counts, f.options.DryRun); err != nil {
		return err
	}
	switch {
	case errors.Is(err, importer.ErrExists):
		return fmt.Errorf("%w; choose --if-exists skip to keep such entries or --if-exists overwrite to replace them, and run it again", err)
	case errors.Is(err, context.Canceled):
		p.line("stopped; run it again to go on")
		return err
	case err != nil:
		return fmt.Errorf("the import has stopped and can be run again: %w", err)
	case counts.Lost+counts.Changed > 0:
		return errIncomplete
	}
	return nil
}

func (o *output) imported(w io.Writer, c importer.Counts, dry bool) error {
	if o.format == "json" {
		return writeLine(w, c)
	}
	written, enqueued := "entries written", "messages enqueued"
	if dry {
		written, enqueued = "entries to be written", "messages to be enqueued"
	}
	for _, line := range []struct {
		what string
		n    int
		show bool // also if there are none
	}{
		{written, c.Written, true},
		{"  that replace others", c.Replaced, false},
		{"entries that are there already", c.Same, false},
		{"other entries that are kept", c.Kept, false},
		{"entries that have expired", c.Expired, false},
		{enqueued, c.Messages, false},
		{"messages that were enqueued before", c.Known, false},
		{"carried over with a change", c.Changed, false},
		{"not carried over", c.Lost, false},
	} {
		if !line.show && line.n == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s: %d\n", line.what, line.n); err != nil {
			return err
		}
	}
	return nil
}
