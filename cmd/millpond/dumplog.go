package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/kv"
)

// recordWait bounds how long the next record of a log may take to come, if there is one.
const recordWait = 10 * time.Second

func newDumpLogCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dump-log [DATABASE]",
		Short: "Show the records of a database's log as JSON",
		Long: `Show the records of the log of DATABASE, "default" if none is named, as lines of JSON: their commits with what they set and deleted,
the messages that they enqueued, and the epochs. It asks NATS, as the servers of a cluster do, or with --data reads the data directory of
a millpond serve that is stopped.

A record that does not count ("counts": false) changed nothing: it came from a writer that had been replaced. Whether records count can
only be told from the log's beginning, so with --from, and of a log that was trimmed, it is left out. A record that is damaged or missing is shown as such, and exit
code 1 says so at the end.`,
		Example: `  millpond dump-log orders --data ./millpond-data
  millpond dump-log --nats nats://a:4222 --from 1000 --limit 10
  millpond dump-log --follow | jq -c '.commits[]?.effects[]?.key'`,
		Args: cobra.MaximumNArgs(1),
	}
	source := bindLogs(cmd)
	var d dump
	cmd.Flags().Uint64Var(&d.from, "from", 0, "begin at this `position`")
	cmd.Flags().IntVar(&d.limit, "limit", 0, "show at most this many records; 0 is all")
	cmd.Flags().BoolVarP(&d.follow, "follow", "f", false, "go on with records to come, until Ctrl-C")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := "default"
		if len(args) > 0 {
			name = args[0]
		}
		if d.limit < 0 {
			return usagef("--limit %d is negative", d.limit)
		}
		d.w = cmd.OutOrStdout()
		return source.do(cmd, func(ctx context.Context, js jetstream.JetStream) error {
			log, err := natslog.Open(ctx, js, name)
			if err != nil {
				return err
			}
			return d.run(ctx, log)
		})
	}
	return cmd
}

// dump shows records.
type dump struct {
	from   uint64
	limit  int
	follow bool
	w      io.Writer

	next    kv.Position   // that is to come
	chain   *events.Chain // nil: the records before next were not all read
	damaged int           // records that are missing or cannot be read
}

func (d *dump) run(ctx context.Context, log events.Log) error {
	first, last, err := log.Bounds(ctx)
	if err != nil {
		return err
	}
	d.next = max(first, kv.Position(d.from), 1)
	if d.next == 1 {
		d.chain = &events.Chain{}
	}
	if d.next > last && !d.follow {
		return nil
	}
	reader, err := log.Read(ctx, d.next)
	if err != nil {
		return err
	}
	defer reader.Close()
	for n := 0; (d.follow || d.next <= last) && (d.limit == 0 || n < d.limit); n++ {
		m, err := d.read(ctx, reader)
		if err != nil {
			return err
		}
		if err := d.show(m); err != nil {
			return err
		}
	}
	if d.damaged > 0 {
		return fmt.Errorf("records that are damaged or missing: %d", d.damaged)
	}
	return nil
}

func (d *dump) read(ctx context.Context, reader events.Reader) (events.Message, error) {
	if d.follow {
		return reader.Next(ctx)
	}
	waiting, cancel := context.WithTimeout(ctx, recordWait)
	defer cancel()
	m, err := reader.Next(waiting)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return m, fmt.Errorf("the log does not deliver the record at %d", d.next)
	}
	return m, err
}

func (d *dump) show(m events.Message) error {
	if m.Position > d.next {
		d.chain = nil
		d.damaged += int(m.Position - d.next)
		if err := writeLine(d.w, damagedView{Position: d.next, Problem: fmt.Sprintf("missing, up to %d", m.Position-1)}); err != nil {
			return err
		}
	}
	d.next = m.Position + 1
	sealed, err := events.Open(m)
	var counts *bool
	if err == nil && d.chain != nil {
		var counted bool
		counted, err = d.chain.Accept(sealed)
		counts = &counted
	}
	if err != nil {
		d.chain = nil
		d.damaged++
		return writeLine(d.w, damagedView{Position: m.Position, Size: len(m.Data), Problem: err.Error(), Data: m.Data})
	}
	return writeLine(d.w, viewRecord(sealed, counts))
}
