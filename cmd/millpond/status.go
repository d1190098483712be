package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/cluster"
)

func newStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show a cluster: databases, leaders, readers, streams and NATS servers",
		Long: `Show a cluster: databases with their leader, epoch and end; the streams that keep their logs, with replicas; readers with
position and lag; writers; NATS servers; and what needs attention.

It asks over NATS, with the settings of kvreader: the file of a kvreader's settings will do for --config if it has nothing
else than those, and so will a kvreader's user. Positions are of a moment, and lag is in records.

The exit code says whether the cluster could be asked, not whether all is well; for that look at "warnings" of -o json.`,
		Example: `  millpond status --nats nats://a:4222,nats://b:4222,nats://c:4222
  millpond status -o json | jq .warnings`,
		Args: cobra.NoArgs,
	}
	conn, out := bindNATS(cmd), bindOutput(cmd, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return conn.do(cmd, func(ctx context.Context, c *nats.Conn) error {
			overview, err := conn.Look(ctx, c)
			if err != nil {
				return err
			}
			if out.format == "json" {
				return writeJSON(cmd.OutOrStdout(), overview)
			}
			return writeOverview(cmd.OutOrStdout(), &overview)
		})
	}
	return cmd
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// sections writes tables one below the other, each with columns of its own. One without rows is left out.
type sections struct {
	w        io.Writer
	headings []string
	table    *tabwriter.Writer // nil until the section has a row
	begun    bool              // a table has been written before
}

// begin starts a table with these headings.
func (s *sections) begin(headings ...string) {
	s.end()
	s.headings = headings
}

func (s *sections) row(cells ...string) {
	if s.table == nil {
		if s.begun {
			fmt.Fprintln(s.w)
		}
		s.begun = true
		s.table = tabwriter.NewWriter(s.w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(s.table, strings.Join(s.headings, "\t"))
	}
	fmt.Fprintln(s.table, strings.Join(cells, "\t"))
}

// end writes what is left. The error is the writer's.
func (s *sections) end() error {
	if s.table == nil {
		return nil
	}
	err := s.table.Flush()
	s.table = nil
	return err
}

// checkpoint says where the newest checkpoint of a database is.
func checkpoint(c *cluster.CheckpointView) string {
	if c == nil {
		return "-"
	}
	return fmt.Sprint(c.Position)
}

func writeOverview(w io.Writer, o *cluster.Overview) error {
	s := &sections{w: w}
	s.begin("DATABASE", "LEADER", "EPOCH", "END")
	for _, d := range o.Databases {
		s.row(d.Name, orDash(d.Leader), fmt.Sprint(d.Epoch), fmt.Sprint(d.End))
	}
	s.begin("READER", "DATABASE", "POSITION", "LAG")
	for _, r := range o.Readers {
		s.row(r.Process, r.Database, fmt.Sprint(r.Position), lag(r))
	}
	s.begin("WRITER", "DATABASE", "POSITION", "DUTY")
	for _, r := range o.Writers {
		s.row(r.Process, r.Database, fmt.Sprint(r.Position), duty(r))
	}
	s.begin("STREAM OF", "FIRST", "MESSAGES", "SIZE", "CHECKPOINT", "REPLICAS")
	for _, d := range o.Databases {
		if d.Problem != "" {
			s.row(d.Name, "-", "-", "-", "-", "no answer")
			continue
		}
		s.row(d.Name, fmt.Sprint(d.First), fmt.Sprint(d.Messages), size(d.Bytes), checkpoint(d.Checkpoint), replicas(d.Replicas))
	}
	s.begin("LOG OF", "HELD AT", "BY", "HOLD")
	for _, d := range o.Databases {
		for _, h := range d.Holds {
			s.row(d.Name, fmt.Sprint(h.Position), h.Of, h.Name)
		}
	}
	s.begin("NATS SERVER", "VERSION", "SYNCS")
	for _, server := range o.Servers.Known {
		s.row(server.Name, server.Version, syncs(server))
	}
	switch missing := o.Servers.Size - len(o.Servers.Known); {
	case len(o.Servers.Known) == 0:
		s.row("(not known)", "-", "not known")
	case missing > 0:
		s.row(fmt.Sprintf("(%d more)", missing), "-", "not known")
	}
	if err := s.end(); err != nil {
		return err
	}
	for i, warning := range o.Warnings {
		if i == 0 {
			fmt.Fprintln(w)
		}
		if _, err := fmt.Fprintf(w, "! %s\n", warning); err != nil {
			return err
		}
	}
	return nil
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func lag(r cluster.ReplicaView) string {
	switch {
	case r.Damaged:
		return fmt.Sprintf("%d DAMAGED", r.Lag)
	case r.Problem != "":
		return fmt.Sprintf("%d NOT SERVED: %s", r.Lag, r.Problem)
	}
	return fmt.Sprint(r.Lag)
}

func duty(w cluster.WriterView) string {
	switch {
	case w.Damaged:
		return "DAMAGED"
	case w.Problem != "":
		return "NOT STANDING BY: " + w.Problem
	case w.Leading:
		return "leading"
	}
	return "standing by"
}

func syncs(s cluster.Server) string {
	if s.SyncAlways {
		return "always"
	}
	return "NOT ALWAYS"
}

// replicas lists the servers that keep a stream, the leader first.
func replicas(all []natslog.Replica) string {
	var list []string
	for _, r := range all {
		state := "current"
		switch {
		case r.Leader:
			state = "leads"
		case r.Offline:
			state = "OFFLINE"
		case !r.Current:
			state = "BEHIND"
		}
		if r.Lag > 0 {
			state += fmt.Sprintf(" by %d", r.Lag)
		}
		list = append(list, r.Server+" "+state)
	}
	return strings.Join(list, ", ")
}

// size writes bytes for people.
func size(n uint64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if n < 10*1024 {
			return fmt.Sprintf("%d %s", n, unit)
		}
		n /= 1024
	}
	return fmt.Sprintf("%d TiB", n)
}
