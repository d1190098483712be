package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

const (
	measureFor  = 5 * time.Second
	manyCallers = 256
	longLog     = 1_000_000 // commits
	growFor     = 20 * time.Second
)

// member is a process of the cluster.
type member struct {
	cmd    *exec.Cmd
	logged bytes.Buffer
	ready  string // URL
}

func startMember(ctx context.Context, ready string, args ...string) (*member, error) {
	m := &member{cmd: exec.CommandContext(ctx, args[0], args[1:]...), ready: ready}
	m.cmd.Stdout, m.cmd.Stderr = &m.logged, &m.logged
	m.cmd.Cancel = func() error { return m.cmd.Process.Signal(syscall.SIGTERM) }
	return m, m.cmd.Start()
}

// benchedCluster is three NATS servers, a writer and a reader on this machine.
type benchedCluster struct {
	dir     string
	servers []string // NATS URLs
	members []*member
	writer  string // host:port of its metrics
}

// natsConfig syncs each record to disk before it is acked, as deploy/nats/nats.conf does.
const natsConfig = `
server_name: nats%d
listen: "%s"
http: "%s"
jetstream { store_dir: "%s", sync_interval: always }
cluster { name: millpond, listen: "%s", routes: ["nats://%s"] }
`

// measureCluster measures a cluster with the client over NATS.
func measureCluster(ctx context.Context, out io.Writer, dir string) error {
	return withCluster(ctx, dir, func(ctx context.Context, c *benchedCluster) error { return c.measure(ctx, out) })
}

// withCluster starts a cluster for measure, with its data below dir.
func withCluster(ctx context.Context, dir string, measure func(context.Context, *benchedCluster) error) error {
	dir, err := os.MkdirTemp(dir, "cluster-")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	c := &benchedCluster{dir: dir}
	defer func() {
		stop()
		for _, m := range c.members {
			m.cmd.Wait()
		}
	}()
	if err = c.start(ctx); err == nil {
		err = measure(ctx, c)
	}
	if err != nil {
		for _, m := range c.members {
			err = fmt.Errorf("%w; %s printed:\n%s", err, filepath.Base(m.cmd.Path), m.logged.String())
		}
	}
	return err
}

func (c *benchedCluster) start(ctx context.Context) error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	for name, pkg := range map[string]string{
		"kvwriter": "./cmd/kvwriter", "kvreader": "./cmd/kvreader", "nats-server": "github.com/nats-io/nats-server/v2",
	} {
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(c.dir, name), pkg).CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	var addrs [9]string
	for i := range addrs {
		var err error
		if addrs[i], err = freeAddr(); err != nil {
			return err
		}
	}
	routes := strings.Join(addrs[6:], `", "nats://`)
	for i := range 3 {
		client, monitor, data := addrs[i], addrs[3+i], filepath.Join(c.dir, fmt.Sprint("nats", i))
		config := data + ".conf"
		if err := os.WriteFile(config, fmt.Appendf(nil, natsConfig, i, client, monitor, data, addrs[6+i], routes), 0o600); err != nil {
			return err
		}
		if err := c.add(ctx, "http://"+monitor+"/healthz", "nats-server", "--config", config); err != nil {
			return err
		}
		c.servers = append(c.servers, "nats://"+client)
	}
	if err := c.await(); err != nil {
		return err
	}
	var err error
	if c.writer, err = freeAddr(); err != nil {
		return err
	}
	if err := c.add(ctx, "http://"+c.writer+"/readyz", "kvwriter", "--nats", strings.Join(c.servers, ","), "--http-addr", c.writer); err != nil {
		return err
	}
	if err := c.addReader(ctx); err != nil {
		return err
	}
	return c.await()
}

func (c *benchedCluster) add(ctx context.Context, ready, binary string, args ...string) error {
	m, err := startMember(ctx, ready, append([]string{filepath.Join(c.dir, binary)}, args...)...)
	if err == nil {
		c.members = append(c.members, m)
	}
	return err
}

func (c *benchedCluster) addReader(ctx context.Context) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	return c.add(ctx, "http://"+addr+"/readyz", "kvreader", "--nats", strings.Join(c.servers, ","), "--addr", addr, "--access-token", accessToken)
}

func (c *benchedCluster) await() error {
	for _, m := range c.members {
		if err := waitReady(m.ready); err != nil {
			return err
		}
	}
	return nil
}

// url is for the client over NATS.
func (c *benchedCluster) url() string {
	return "nats://" + strings.ReplaceAll(strings.Join(c.servers, ","), "nats://", "") + "/default"
}

func (c *benchedCluster) measure(ctx context.Context, out io.Writer) error {
	url := c.url()
	fmt.Fprintf(out, "\nA cluster on this machine: three NATS servers that sync always, a writer and a reader; a Go client over NATS,\n"+
		"values of %d bytes\n\n", valueSize)
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tper second\twanted\tp50\twanted\tp99\t\n")
	var records logged
	for _, row := range []struct {
		name, what           string
		callers              int
		wanted, wantedMedian string
	}{
		{"commits, %d callers", "commit", manyCallers, "40000", ""},
		{"strong reads, %d callers", "strong", manyCallers, "50000", ""},
		{"eventual reads, %d callers", "eventual", manyCallers, "60000", ""},
		{"commits, %d caller", "commit", 1, "", "under 1 ms"},
		{"strong reads, %d caller", "strong", 1, "", "under 0.3 ms"},
		{"eventual reads, %d caller", "eventual", 1, "", ""},
	} {
		before, err := c.logged()
		if err != nil {
			return err
		}
		r, err := runCallers(ctx, url, row.what, row.callers, measureFor)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, row.name+"\t%d\t%s\t%.3f ms\t%s\t%.3f ms\t\n",
			row.callers, r.PerSecond, row.wanted, millis(r.P50), row.wantedMedian, millis(r.P99))
		after, err := c.logged()
		if err != nil {
			return err
		}
		if row.what == "commit" && row.callers == manyCallers {
			records = after.since(before)
		}
	}
	t.Flush()
	fmt.Fprintf(out, "\n%d callers: %.1f commits a record, %.0f bytes of log a commit\n", manyCallers, records.commits/records.records, records.bytes/records.commits)
	return c.measureStart(ctx, out, url)
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// measureStart measures how long a reader takes to be ready on a long log.
func (c *benchedCluster) measureStart(ctx context.Context, out io.Writer, url string) error {
	at, err := c.logged()
	for err == nil && at.commits < longLog {
		if _, err = runCallers(ctx, url, "commit", 4*manyCallers, growFor); err == nil {
			at, err = c.logged()
		}
	}
	if err != nil {
		return err
	}
	began := time.Now()
	if err := c.addReader(ctx); err != nil {
		return err
	}
	if err := waitReady(c.members[len(c.members)-1].ready); err != nil {
		return err
	}
	fmt.Fprintf(out, "a reader that starts on a log of %.0f commits is ready after %v; wanted under 5s\n",
		at.commits, time.Since(began).Round(10*time.Millisecond))
	return nil
}

// logged is what the writer has appended.
type logged struct{ records, commits, bytes float64 }

func (l logged) since(earlier logged) logged {
	return logged{l.records - earlier.records, l.commits - earlier.commits, l.bytes - earlier.bytes}
}

func (c *benchedCluster) logged() (l logged, err error) {
	resp, err := http.Get("http://" + c.writer + "/metrics")
	if err != nil {
		return l, err
	}
	defer resp.Body.Close()
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), `{database="default"} `)
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		switch name {
		case "millpond_record_commits_count":
			l.records = n
		case "millpond_record_commits_sum":
			l.commits = n
		case "millpond_log_bytes_total":
			l.bytes = n
		}
	}
	return l, nil
}
