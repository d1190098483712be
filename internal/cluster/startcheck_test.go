package cluster

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// monitored makes a server answer at a monitoring URL.
func monitored(o *server.Options) { o.HTTPHost, o.HTTPPort = "127.0.0.1", server.RANDOM_PORT }

// at returns the settings for a server, with its monitoring URL if it has one.
func at(s *server.Server) NATS {
	c := NATS{Servers: []string{s.ClientURL()}}
	if addr := s.MonitorAddr(); addr != nil {
		c.Monitor = []string{"http://" + addr.String()}
	}
	return c
}

func safe(c *WriterConfig)       { c.AllowUnsafe = false }
func safeReader(c *ReaderConfig) { c.AllowUnsafe, c.Replicas = false, 3 }

// A server that acks before it syncs is refused by both programs, with its name and what to do; with --allow-unsafe they warn
// of it and start.
func TestUnsyncedServerIsRefused(t *testing.T) {
	s := natsServer(t, func(o *server.Options) { monitored(o); o.SyncAlways = false })
	words := []string{"NATS servers alone; set sync_interval: always", "--allow-unsafe"}
	writer(t, at(s), safe).expectRefusal(words...)
	reader(t, at(s), safeReader).expectRefusal(words...)
	w, r := writer(t, at(s), nil), reader(t, at(s), nil)
	expectWorks(t, r, w)
	for _, p := range []*program{w, r} {
		p.awaitLog("UNSAFE: acks come before records are on disk")
	}
}

// Where the servers cannot be asked how they sync, that is said with what to do about it, and is no reason to refuse.
func TestUnknownSyncIsNoRefusal(t *testing.T) {
	p := writer(t, at(natsServer(t, nil)), safe)
	p.awaitHealth("")
	p.awaitLog("it is not known whether the NATS servers sync every record")
	p.awaitLog("--nats-monitor")
}

// A monitoring URL at which no NATS server answers is named.
func TestWrongMonitorURL(t *testing.T) {
	s := natsServer(t, nil)
	page := writer(t, at(s), nil)
	page.awaitHealth("")
	c := at(s)
	c.Monitor = []string{"http://" + page.addr}
	p := writer(t, c, safe)
	p.awaitHealth("")
	p.awaitLog("http://" + page.addr + " answers 404")
	c.Monitor = []string{"http://" + freeAddr(t)}
	p = writer(t, c, safe)
	p.awaitHealth("")
	p.awaitLog("connection refused")
}

// A server whose account may ask the system account is known without a monitoring URL.
func TestServersOverNATS(t *testing.T) {
	s := natsServer(t, func(o *server.Options) { o.SyncAlways = false })
	letAskServers(t, s)
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got := askServers(t.Context(), conn, nil)
	want := Servers{Known: []Server{{Name: "alone", Version: server.VERSION}}, Size: 1}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-), want (+):\n%s", diff)
	}
	writer(t, at(s), safe).expectRefusal("NATS servers alone")
}

// letAskServers lets the server's account ask the system account.
func letAskServers(t *testing.T, s *server.Server) {
	t.Helper()
	main, system := s.GlobalAccount(), s.SystemAccount()
	if err := system.AddServiceExportWithResponse(pingJetStream, server.Streamed, nil); err != nil {
		t.Fatal(err)
	}
	if err := main.AddServiceImport(system, pingJetStream, pingJetStream); err != nil {
		t.Fatal(err)
	}
}

// What some of the servers do not say is said to be unknown.
func TestMissingServers(t *testing.T) {
	all := &answers{byID: map[string]Server{"1": {Name: "b", SyncAlways: true}, "2": {Name: "a", SyncAlways: true}}, size: 3}
	got := all.servers([]string{"", "c is away"}, true)
	if !strings.Contains(got.Unknown, "only 2 of the 3 NATS servers answered") || !strings.Contains(got.Unknown, "c is away") {
		t.Errorf("got %q", got.Unknown)
	}
	if got.Known[0].Name != "a" || len(got.unsafe()) > 0 {
		t.Errorf("got %+v; want a and b, which are safe", got)
	}
}

// A stream that could lose records is refused at the start, with every reason; so is too small a max_payload.
func TestUnsafeStreamIsRefused(t *testing.T) {
	s := natsServer(t, func(o *server.Options) { monitored(o); o.MaxPayload = 512 << 10 })
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := natslog.Create(ctx, js, "orders", natslog.Config{}); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(ctx, "millpond_orders")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxAge = time.Hour
	if _, err := js.UpdateStream(ctx, config); err != nil {
		t.Fatal(err)
	}
	words := []string{`of the database "orders" has one replica`, "max_age", "max_payload"}
	writer(t, at(s), safe).expectRefusal(words...)
	reader(t, at(s), safeReader).expectRefusal(words...)

	other := writer(t, at(s), func(c *WriterConfig) { c.AllowUnsafe, c.Databases = true, []string{"ordrs"} })
	other.awaitHealth("")
	other.awaitLog("there is no such database yet")
	other.awaitLog("databases=orders") // which there are
}

// When NATS is connected again, its servers are looked at again; what is unsafe by then is logged, and the program goes on.
func TestServersAreLookedAtAgain(t *testing.T) {
	addr, dir := freeAddr(t), t.TempDir()
	monitor := freeAddr(t)
	listen := func(o *server.Options) {
		o.StoreDir = dir
		o.Port, o.HTTPHost, o.HTTPPort = port(t, addr), "127.0.0.1", port(t, monitor)
	}
	s := natsServer(t, listen)
	p := writer(t, at(s), safe)
	p.awaitHealth("")
	s.Shutdown()
	s.WaitForShutdown()
	p.awaitHealth("no NATS server can be reached")
	natsServer(t, func(o *server.Options) { listen(o); o.SyncAlways = false })
	p.awaitHealth("")
	p.awaitLog("UNSAFE: acks come before records are on disk")
}

func port(t *testing.T, addr string) int {
	t.Helper()
	parsed, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return int(parsed.Port())
}
