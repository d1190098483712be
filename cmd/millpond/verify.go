package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service"
)

func newVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [DATABASE...]",
		Short: "Compare the states that all readers and writers of a cluster hold",
		Long: `Compare the states that all readers and writers of a cluster hold, of the named databases or of all: at the same position
of the log they have the same digest. Each process reads through its whole state for that, while it goes on serving.

It asks over NATS, with the settings of kvreader. Exit code 1 says that states differ, or that a process that should hold a
database could not be compared. Every process that answers is listed; "absent" are readers that nobody has asked for a database
yet, and writers that do not stand by for it.`,
		Example: `  millpond verify --nats nats://a:4222,nats://b:4222,nats://c:4222
  millpond verify orders -o json`,
	}
	conn, out := bindNATS(cmd), bindOutput(cmd, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		return conn.do(cmd, func(ctx context.Context, c *nats.Conn) error {
			return runVerify(ctx, c, names, out, cmd.OutOrStdout())
		})
	}
	return cmd
}

func runVerify(ctx context.Context, conn *nats.Conn, names []string, out *output, w io.Writer) error {
	if len(names) == 0 {
		var err error
		if names, err = databasesOf(ctx, conn); err != nil {
			return err
		}
	}
	verdicts, equal := []service.Verdict{}, true
	for _, name := range names {
		v, err := service.Verify(ctx, conn, name)
		if err != nil {
			return err
		}
		verdicts, equal = append(verdicts, v), equal && v.Equal
	}
	if err := out.verdicts(w, verdicts); err != nil {
		return err
	}
	if !equal {
		return fmt.Errorf("the states differ, or could not all be compared")
	}
	return nil
}

// databasesOf returns the names of the databases that some process holds.
func databasesOf(ctx context.Context, conn *nats.Conn) ([]string, error) {
	processes, err := service.AskStatus(ctx, conn, time.Second)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, p := range processes {
		for _, d := range p.Databases {
			names[d.Name] = true
		}
	}
	if len(names) == 0 {
		return nil, kv.Errorf(kv.ErrUnavailable, "no kvreader or kvwriter answers that holds a database; see millpond status")
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// verdicts shows a table of all, or a JSON object for each database.
func (o *output) verdicts(w io.Writer, verdicts []service.Verdict) error {
	if o.format == "json" {
		for _, v := range verdicts {
			if err := writeLine(w, v); err != nil {
				return err
			}
		}
		return nil
	}
	return writeVerdicts(w, verdicts)
}

func writeVerdicts(w io.Writer, verdicts []service.Verdict) error {
	s := &sections{w: w}
	s.begin("DATABASE", "PROCESS", "POSITION", "DIGEST", "VERDICT")
	for _, v := range verdicts {
		most := mostCommon(v.Digests)
		for _, d := range v.Digests {
			s.row(v.Database, d.Process, fmt.Sprint(d.Position), orDash(d.Digest[:min(len(d.Digest), shownDigest)]), verdict(d, most))
		}
	}
	return s.end()
}

// shownDigest is how much of a digest a table has.
const shownDigest = 16

func verdict(d service.Digest, most string) string {
	switch {
	case d.Absent:
		return "absent: " + d.Problem
	case d.Digest == "":
		return "NOT COMPARED: " + d.Problem
	case d.Digest == most:
		return "ok"
	}
	return "DIFFERS"
}

// mostCommon returns the digest that most processes have. If no digest is in the majority, there is none, and all differ.
func mostCommon(digests []service.Digest) string {
	count := map[string]int{}
	for _, d := range digests {
		if d.Digest != "" {
			count[d.Digest]++
		}
	}
	compared := 0
	for _, n := range count {
		compared += n
	}
	for digest, n := range count {
		if 2*n > compared {
			return digest
		}
	}
	return ""
}
