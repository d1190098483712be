package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/ndjson"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
)

// rowsAligned is how many rows of a table are aligned with each other; a long list is shown as it comes.
const rowsAligned = 100

// output is the flag -o.
type output struct {
	format  string
	allowed []string
}

// bindOutput adds -o with the formats, the first of which is the default. All JSON is a line for each thing, so "ndjson" is the
// same as "json".
func bindOutput(cmd *cobra.Command, formats ...string) *output {
	if i := slices.Index(formats, "json"); i >= 0 {
		formats = slices.Insert(slices.Clone(formats), i+1, "ndjson")
	}
	o := &output{format: formats[0], allowed: formats}
	cmd.Flags().VarP(o, "output", "o", "how to show it: "+strings.Join(formats, ", "))
	cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return o
}

func (o *output) String() string { return o.format }
func (o *output) Type() string   { return "format" }

func (o *output) Set(format string) error {
	if !slices.Contains(o.allowed, format) {
		return fmt.Errorf("%q is none of %s", format, strings.Join(o.allowed, ", "))
	}
	if format == "ndjson" {
		format = "json"
	}
	o.format = format
	return nil
}

// writeLine writes v as JSON on a line.
func writeLine(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// result shows what a command has done: view as JSON, or text for people.
func (o *output) result(w io.Writer, view any, format string, args ...any) error {
	if o.format == "json" {
		return writeLine(w, view)
	}
	_, err := fmt.Fprintf(w, format, args...)
	return err
}

// printer shows entries. The caller must call flush at the end, and whenever it has nothing more to show for a while.
type printer interface {
	entry(client.RawEntry) error
	flush() error
}

func (o *output) printer(w io.Writer) printer {
	switch o.format {
	case "json":
		return &jsonPrinter{w: w}
	case "raw":
		return rawPrinter{w}
	}
	return &tablePrinter{w: w, rows: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
}

// jsonPrinter writes one object a line.
type jsonPrinter struct {
	w    io.Writer
	line []byte
}

func (p *jsonPrinter) entry(e client.RawEntry) error {
	p.line = ndjson.Append(p.line[:0], ndjson.Entry(e))
	_, err := p.w.Write(p.line)
	return err
}

func (p *jsonPrinter) flush() error { return nil }

// rawPrinter writes values only: bytes and strings as they are, everything else as JavaScript and a line end.
type rawPrinter struct{ w io.Writer }

func (p rawPrinter) entry(e client.RawEntry) error {
	data := e.Value.Data
	if e.Value.Encoding != kv.EncodingBytes {
		v, err := v8.Decode(data)
		if text, ok := v.(string); ok && err == nil && e.Value.Encoding == kv.EncodingV8 {
			data = []byte(text)
		} else {
			data = []byte(showValue(e.Value, literal.FormatIndent) + "\n")
		}
	}
	_, err := p.w.Write(data)
	return err
}

func (p rawPrinter) flush() error { return nil }

// tablePrinter writes aligned columns, the value last.
type tablePrinter struct {
	w     io.Writer
	rows  *tabwriter.Writer
	count int
}

func (p *tablePrinter) entry(e client.RawEntry) error {
	if p.count == 0 {
		fmt.Fprintln(p.rows, "KEY\tVERSIONSTAMP\tVALUE")
	}
	versionstamp, value := showEntry(e)
	if _, err := fmt.Fprintf(p.rows, "%s\t%s\t%s\n", showKey(e.Key), versionstamp, value); err != nil {
		return err
	}
	if p.count++; p.count%rowsAligned == 0 {
		return p.flush()
	}
	return nil
}

func (p *tablePrinter) flush() error { return p.rows.Flush() }

// showEntry writes what a table has beside the key.
func showEntry(e client.RawEntry) (versionstamp, value string) {
	if !e.Exists() {
		return "-", "-"
	}
	return e.Versionstamp.String(), showValue(e.Value, literal.Format)
}

// showKey writes the key as JavaScript; what does not print is escaped.
func showKey(key kv.Key) string { return key.String() }

// showValue writes the value as JavaScript. What does not print is escaped, so a value cannot steer the terminal.
func showValue(value kv.Value, format func(any) string) string {
	switch {
	case value.Encoding == kv.EncodingBytes:
		return format(v8.Uint8Array(bytes.Clone(value.Data)))
	case value.Encoding == kv.EncodingLE64 && len(value.Data) == 8:
		return fmt.Sprintf("new Deno.KvU64(%dn)", binary.LittleEndian.Uint64(value.Data))
	}
	v, err := v8.Decode(value.Data)
	if err != nil {
		return fmt.Sprintf("(%s, %d bytes that cannot be shown: %v)", value.Encoding, len(value.Data), err)
	}
	return format(v)
}
