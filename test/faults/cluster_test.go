//go:build linux

package faults

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service"
	"github.com/millpondkv/millpond/test/check"
	"github.com/nats-io/nats.go"
)

// options are how a cluster differs from the usual one.
type options struct {
	disks    int      // size of each NATS server's own disk, in MB; 0: all are on the machine's
	unsynced bool     // NATS servers sync now and then only, as they do by themselves
	guards   []string // that are out in writers and readers
	noBank   bool     // no Deno program
	archived bool     // a process keeps an archive, which is held to the log in the end
	trimmed  bool     // logs are trimmed behind trimHistory

	// The test makes the stream itself, without its protection from deletes.
	deletable bool
}

// cluster is three NATS servers, three writers and two readers, each on a host of its own, and clients at work.
type cluster struct {
	t                      *testing.T
	options                options
	dir                    string
	checkpoints            bool // writers and readers keep some
	chance                 *rand.Rand
	nats, writers, readers []*process
	archive                *process // nil: there is none
	disks                  []*disk  // of the NATS servers, if they have own ones
	admin                  *nats.Conn
	clients                []*client
	prover                 *client
	load                   load
	banks                  []*bank
	tally                  *tally
	counted                int            // records of the log whose epochs were counted
	undamaged              []check.Stored // the log as it was before the test damaged it; nil: it is whole

	mu         sync.Mutex
	operations []check.Operation
	violations []string

	fetching sync.Mutex
	fetched  map[string][]check.Stored // of each database, the log as it was last fetched, with what was trimmed since
}

// startCluster starts a cluster with clients at work. When the test ends, all of it is gone but the files.
func startCluster(t *testing.T, seed uint64, tally *tally, o options) *cluster {
	t.Helper()
	needNamespaces(t)
	dir := filepath.Join(os.Getenv(workVariable), fmt.Sprintf("%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), seed))
	c := &cluster{t: t, options: o, dir: dir, chance: rand.New(rand.NewPCG(seed, 0)), tally: tally, fetched: map[string][]check.Stored{}}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			os.RemoveAll(dir)
		}
	})
	c.startNATS(o)
	for _, p := range c.nats { // the others would wait for an election too, but longer
		p.await()
	}
	all := c.servers()
	if o.deletable {
		c.connect(all)
		c.makeDeletable()
	}
	if o.trimmed {
		c.connect(all)
		c.followLogs()
	}
	for i := range 3 {
		h := newHost(t, fmt.Sprint("writer", i), 20+i, "back")
		addr := h.addr("back") + ":4513"
		c.writers = append(c.writers, c.start(h, "http://"+addr, o.guards, "kvwriter", "--nats", all, "--http-addr", addr))
	}
	for i := range 2 {
		h := newHost(t, fmt.Sprint("reader", i), 30+i, "back", "front")
		addr := h.addr("front") + ":4512"
		c.readers = append(c.readers, c.start(h, "http://"+addr, o.guards, "kvreader", "--nats", all, "--addr", addr, "--access-token", accessToken))
	}
	for _, p := range c.all() {
		p.await()
	}
	if c.admin == nil {
		c.connect(all)
	}
	c.meetClients(seed)
	if o.archived {
		c.startArchive(all)
	}
	if !o.noBank {
		for _, r := range c.readers {
			c.banks = append(c.banks, openBank(t, r, dir))
		}
		for _, b := range c.banks {
			eventually(t, startWait, "the bank has opened", b.opened)
			b.pause()
		}
	}
	return c
}

// servers returns the URLs of the NATS servers.
func (c *cluster) servers() string {
	list := []string{}
	for _, p := range c.nats {
		list = append(list, "nats://"+p.addr("back")+":4222")
	}
	return strings.Join(list, ",")
}

// natsConfig makes every ack mean that the record is on disk, and has a lost route noticed in seconds.
const natsConfig = `
server_name: %s
listen: "%s:4222"
http: "%[2]s:8222"
ping_interval: "2s"
jetstream { store_dir: "%[3]s", max_file_store: 10GB, sync_interval: %[4]s }
cluster { name: millpond, listen: "%[2]s:6222", ping_interval: "2s", routes: [%[5]s] }
`

func (c *cluster) startNATS(o options) {
	c.t.Helper()
	hosts, routes := []*host{}, []string{}
	for i := range 3 {
		h := newHost(c.t, fmt.Sprint("nats", i), 10+i, "back")
		hosts = append(hosts, h)
		routes = append(routes, fmt.Sprintf("%q", "nats://"+h.addr("back")+":6222"))
	}
	sync := "always"
	if o.unsynced {
		sync = `"2m"`
	}
	for _, h := range hosts {
		store := filepath.Join(c.dir, h.name)
		if err := os.MkdirAll(store, 0o755); err != nil {
			c.t.Fatal(err)
		}
		if o.disks > 0 {
			c.disks = append(c.disks, newDisk(c.t, store, o.disks))
		}
		file := filepath.Join(c.dir, h.name+".conf")
		text := fmt.Sprintf(natsConfig, h.name, h.addr("back"), store, sync, strings.Join(routes, ", "))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			c.t.Fatal(err)
		}
		c.nats = append(c.nats, c.start(h, "http://"+h.addr("back")+":8222", nil, "nats-server", "--config", file))
	}
}

// start starts a process whose health is at base.
func (c *cluster) start(h *host, base string, guards []string, program string, args ...string) *process {
	c.t.Helper()
	ready := base + "/readyz"
	if program == "nats-server" {
		ready = base + "/healthz"
	}
	p := &process{
		host: h, t: c.t, ready: ready, args: append([]string{filepath.Join(os.Getenv(binVariable), program)}, args...),
		log: filepath.Join(c.dir, h.name+".log"), orders: filepath.Join(c.dir, h.name+".orders"), guards: guards,
	}
	if program != "nats-server" {
		p.args = append(p.args, c.furtherFlags(p.args[0], h)...)
	}
	p.run()
	c.t.Cleanup(func() { p.kill() })
	return p
}

// furtherFlags are those that not every version of the programs has.
func (c *cluster) furtherFlags(binary string, h *host) (flags []string) {
	help, err := exec.Command(binary, "--help").CombinedOutput()
	if err != nil {
		c.t.Fatalf("%s --help: %v", binary, err)
	}
	add := func(flag, value string) bool {
		known := strings.Contains(string(help), "--"+flag)
		if known {
			flags = append(flags, "--"+flag+"="+value)
		}
		return known
	}
	c.checkpoints = add("checkpoint-dir", filepath.Join(c.dir, h.name+checkpointsSuffix))
	add("checkpoint-bytes", "32KiB") // a few seconds of load
	monitors := []string{}
	for _, p := range c.nats {
		monitors = append(monitors, strings.TrimSuffix(p.ready, "/healthz"))
	}
	add("nats-monitor", strings.Join(monitors, ","))
	if c.options.trimmed {
		add("history", trimHistory.String())
	}
	if c.options.unsynced || c.options.deletable {
		add("allow-unsafe", "true")
	}
	return flags
}

const checkpointsSuffix = "-checkpoints"

// forget makes the next start of a process replay the whole log.
func (c *cluster) forget(p *process) {
	c.t.Helper()
	if err := os.RemoveAll(filepath.Join(c.dir, p.name+checkpointsSuffix)); err != nil {
		c.t.Fatal(err)
	}
}

func (p *process) url() string { return strings.TrimSuffix(p.ready, "/readyz") }

func (c *cluster) all() []*process { return slices.Concat(c.nats, c.writers, c.readers) }

// connect connects the tests themselves to NATS, to look at the log.
func (c *cluster) connect(servers string) {
	c.t.Helper()
	conn, err := nats.Connect(servers, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.PingInterval(time.Second), nats.Timeout(2*time.Second))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(conn.Close)
	c.admin = conn
}

// meetClients opens the accounts and makes the clients; resume lets them work.
func (c *cluster) meetClients(seed uint64) {
	c.t.Helper()
	for i := range clients + 1 {
		one := &client{index: i, chance: rand.New(rand.NewPCG(seed, uint64(i+1))), record: c.record}
		for _, r := range c.readers {
			one.readers = append(one.readers, dial(c.t, r.url()))
		}
		if i < clients { // not the prover, who looks at each reader by itself
			one.readers = append(one.readers, dialNative(c.t, c.servers()))
		}
		c.clients = append(c.clients, one)
	}
	c.prover, c.clients = c.clients[clients], c.clients[:clients]
	c.load.stop = func() {}
	if err := c.prover.commit(c.prover.readers[0], startWait, deposit); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { c.load.stop() })
}

func (c *cluster) record(o check.Operation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tally.operation(o)
	damaged := c.options.deletable && errors.Is(o.Err, kv.ErrWritesDisabled) // it is, on purpose
	if isUnexpected(o.Err) && !damaged {
		c.violations = append(c.violations, fmt.Sprintf("client %d: %v: %v", o.Client, o.Kind, o.Err))
	}
	if o.Kind == check.Commit || o.Err == nil {
		c.operations = append(c.operations, o)
	}
}

func (c *cluster) violate(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.violations = append(c.violations, fmt.Sprintf(format, args...))
}

// resume lets the clients work; rest makes them finish.
func (c *cluster) resume() {
	for _, b := range c.banks {
		b.resume()
	}
	c.load = startLoad(c.clients)
}

func (c *cluster) rest() {
	c.load.stop()
	for _, b := range c.banks {
		b.pause()
	}
}

// leader returns the writer that leads the clients' database.
func (c *cluster) leader() (leader *process) {
	c.t.Helper()
	eventually(c.t, startWait, "a writer leads", func() bool {
		leader = c.leading()
		return leader != nil
	})
	return leader
}

// leading asks who leads: nil if nobody says so.
func (c *cluster) leading() *process {
	all, err := service.AskStatus(c.t.Context(), c.admin, 300*time.Millisecond)
	if err != nil {
		return nil
	}
	for _, s := range all {
		for _, d := range s.Databases {
			if i := slices.IndexFunc(c.writers, func(p *process) bool {
				return p.running() && strings.Contains(s.Process, fmt.Sprint(" ", p.cmd.Process.Pid, "-"))
			}); i >= 0 && d.Leading && d.Name == kvDefault {
				return c.writers[i]
			}
		}
	}
	return nil
}

// streamLeader returns the NATS server that leads the stream of the clients' database.
func (c *cluster) streamLeader() (leader *process) {
	c.t.Helper()
	eventually(c.t, startWait, "a NATS server leads the stream", func() bool {
		info, err := c.stream(kvDefault)
		if err != nil || info.Cluster == nil {
			return false
		}
		i := slices.IndexFunc(c.nats, func(p *process) bool { return p.name == info.Cluster.Leader })
		if i >= 0 {
			leader = c.nats[i]
		}
		return i >= 0
	})
	return leader
}

func (c *cluster) others(all []*process, but *process) []*process {
	return slices.DeleteFunc(slices.Clone(all), func(p *process) bool { return p == but })
}

func one[T any](c *cluster, list []T) T { return list[c.chance.IntN(len(list))] }

// killAll kills processes at once.
func killAll(all []*process) {
	for _, p := range all {
		p.signal(syscall.SIGKILL)
	}
	for _, p := range all {
		p.kill()
	}
}

// tally counts what was done to clusters, and how they took it.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
	writes []time.Duration // until the first one after a fault has healed
	reads  []time.Duration // then until every reader has answered a strong one
}

// violations is the count that matters.
const violations = "violations"

func newTally() *tally { return &tally{counts: map[string]int{}} }

func (y *tally) count(what string) { y.add(what, 1) }

func (y *tally) add(what string, n int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.counts[what] += n
}

func (y *tally) recovered(write, read time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.writes, y.reads = append(y.writes, write), append(y.reads, read)
}

// print prints all counts, and the times of recovery.
func (y *tally) print(t *testing.T) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.counts[violations] += 0 // to show that there are none
	for _, what := range slices.Sorted(maps.Keys(y.counts)) {
		t.Logf("%8d %s", y.counts[what], what)
	}
	for what, times := range map[string][]time.Duration{"writes": y.writes, "reads, from the first write on": y.reads} {
		if slices.Sort(times); len(times) > 0 {
			t.Logf("recovered %d times: %s within %v, median %v", len(times), what, times[len(times)-1].Round(time.Millisecond), times[len(times)/2].Round(time.Millisecond))
		}
	}
}
