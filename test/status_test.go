package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// overview is what `millpond status -o json` prints, as far as it is looked at.
type overview struct {
	Databases []struct {
		Name, Leader string
		Epoch, End   uint64
		Messages     uint64
		Replicas     []struct {
			Server                   string
			Leader, Current, Offline bool
		}
	}
	Readers []struct {
		Process, Database string
		Position, Lag     uint64
	}
	Writers []struct {
		Process string
		Leading bool
	}
	Servers struct {
		Known []struct {
			Name       string
			SyncAlways bool
		}
	}
	Warnings []string
}

// millpond runs the command line against the cluster, and returns what it printed and its exit code.
func (c *cluster) millpond(args ...string) (stdout, stderr string, code int) {
	c.t.Helper()
	var monitors []string
	for _, p := range c.nats {
		monitors = append(monitors, strings.TrimSuffix(p.ready, "/healthz"))
	}
	cmd := exec.Command(millpond(c.t), args...)
	cmd.Env = append(os.Environ(), "MILLPOND_NATS="+strings.Join(c.natsURLs, ","), "MILLPOND_NATS_MONITOR="+strings.Join(monitors, ","))
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		c.t.Fatal(err)
	}
	return out.String(), errOut.String(), code
}

func (c *cluster) status() (o overview) {
	c.t.Helper()
	out, errOut, code := c.millpond("status", "-o", "json")
	if code != 0 {
		c.t.Fatalf("millpond status: code %d\n%s", code, errOut)
	}
	if err := json.Unmarshal([]byte(out), &o); err != nil {
		c.t.Fatalf("%v\n%s", err, out)
	}
	return o
}

// awaitWarnings waits until the status has warnings with these words, or none if there are no words.
func (c *cluster) awaitWarnings(words ...string) {
	c.t.Helper()
	var last []string
	defer func() {
		if c.t.Failed() {
			c.t.Logf("warnings: %q", last)
		}
	}()
	eventually(c.t, startWait, "warnings with "+strings.Join(words, ", "), func() bool {
		last = c.status().Warnings
		for _, word := range words {
			if !slices.ContainsFunc(last, func(w string) bool { return strings.Contains(w, word) }) {
				return false
			}
		}
		return len(words) > 0 || len(last) == 0
	})
}

// The status shows the whole cluster, and the verification finds it equal; what is lost, one process after the other, is in the
// warnings; without any NATS server the command says that nothing can be reached.
func TestClusterStatus(t *testing.T) {
	c := startCluster(t)
	stamp := dial(t, c.urls[0]).commit(set(key("a"), js("a")))
	c.awaitWarnings()
	o := c.status()
	if len(o.Databases) != 1 || len(o.Readers) != 2 || len(o.Writers) != 2 || len(o.Servers.Known) != 3 {
		t.Fatalf("got %+v; want one database, two readers, two writers and three NATS servers", o)
	}
	d, leading := o.Databases[0], 0
	for _, w := range o.Writers {
		if w.Leading && w.Process == d.Leader {
			leading++
		}
	}
	if d.Name != "default" || leading != 1 || d.Epoch < 1 || d.End < uint64(stamp[7]) || d.Messages != d.End || len(d.Replicas) != 3 || !d.Replicas[0].Leader {
		t.Errorf("the database is %+v, of the writers %+v", d, o.Writers)
	}
	for _, s := range o.Servers.Known {
		if !s.SyncAlways {
			t.Errorf("%s is said not to sync always", s.Name)
		}
	}
	for _, format := range []string{"table", "json"} {
		out, errOut, code := c.millpond("verify", "-o", format)
		if code != 0 || format == "table" && strings.Count(out, " ok") != 4 {
			t.Errorf("millpond verify: code %d\n%s%s\nwant four that are ok", code, out, errOut)
		}
	}
	if _, errOut, code := c.millpond("verify", "other"); code != 1 || !strings.Contains(errOut, `holds the database "other"`) {
		t.Errorf("verify of a database that is not there: code %d\n%s", code, errOut)
	}

	for _, w := range c.writers {
		w.end(syscall.SIGKILL)
	}
	c.awaitWarnings("no kvwriter answers")
	lost := c.nats[2]
	lost.end(syscall.SIGKILL)
	c.awaitWarnings("on nats2", "only 2 of the 3 NATS servers answered")
	c.nats[1].end(syscall.SIGKILL)
	c.awaitWarnings("only 1 of the 3 NATS servers answered")
	c.nats[0].end(syscall.SIGKILL)
	if _, errOut, code := c.millpond("status"); code != 6 || !strings.Contains(errOut, "no NATS server can be reached") {
		t.Errorf("without NATS, the status ends with code %d\n%s", code, errOut)
	}
	for _, p := range append(slices.Clone(c.nats), c.writers...) {
		p.run()
	}
	for _, p := range slices.Concat(c.nats, c.writers, c.readers) {
		p.await(startWait)
	}
	c.awaitWarnings()
}
