package cluster

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millpondkv/millpond/internal/front"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// users lets in what deploy/nats/users.conf does, as far as it matters here.
func users(o *server.Options) {
	client := &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"millpond.*.read", "millpond.status"}}}
	reader := &server.Permissions{
		Publish:   &server.SubjectPermission{Deny: []string{"millpond.*.log.>", "millpond.*.leader"}},
		Subscribe: &server.SubjectPermission{Deny: []string{"millpond.*.w.>"}},
	}
	o.Users = []*server.User{
		{Username: "writer", Password: "x"}, {Username: "reader", Password: "x", Permissions: reader},
		{Username: "client", Password: "x", Permissions: client},
	}
}

func as(user string, s *server.Server) NATS {
	return NATS{Servers: []string{strings.Replace(s.ClientURL(), "nats://", "nats://"+user+":x@", 1)}}
}

// A program whose NATS user may not do its work is not ready, from its start and not only when it is to take over, and says which
// user to use. It says so once, and stops at a word.
func TestWrongUser(t *testing.T) {
	s := natsServer(t, users)
	expectWorks(t, reader(t, as("reader", s), nil), writer(t, as("writer", s), nil))
	for _, c := range []struct {
		program *program
		says    string
	}{
		{writer(t, as("reader", s), nil), "use the writer's user"},
		{writer(t, as("reader", s), func(c *WriterConfig) { c.Databases = []string{"orders"} }), "use the writer's user"},
		{writer(t, as("client", s), nil), "may not ask JetStream"},
		{reader(t, as("client", s), nil), "may not ask JetStream"},
	} {
		c.program.awaitHealth(c.says)
		c.program.awaitLog(c.says)
		c.program.stop()
		<-c.program.ended
		if said := c.program.log.String(); c.program.err != nil || strings.Contains(said, "standing by") || strings.Count(said, c.says) != 1 {
			t.Errorf("it ended with %v, and logged\n%s", c.program.err, said)
		}
	}
}

// Where there is no JetStream, that is what the health check says.
func TestNoJetStream(t *testing.T) {
	s := natsServer(t, func(o *server.Options) { o.JetStream = false })
	reader(t, at(s), nil).awaitHealth("there is no JetStream")
}

// A NATS server that comes back without syncing is noticed while the program runs on, though its own connection was never lost: in the
// log, beside the answer of the health check, and by the metric. Mended, it is forgotten.
func TestUnsyncedServerComesBack(t *testing.T) {
	addr := freeAddr(t)
	other := func(sync bool) *server.Server {
		return natsServer(t, func(o *server.Options) {
			o.ServerName, o.HTTPHost, o.HTTPPort, o.SyncAlways = "other", "127.0.0.1", port(t, addr), sync
		})
	}
	s, away := natsServer(t, monitored), other(true)
	config := at(s)
	config.Monitor = append(config.Monitor, "http://"+addr)
	p := &program{t: t, ended: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(&p.log, nil))
	web, err := front.Start("127.0.0.1:0", "--addr", log)
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	p.addr = web.Addr().String()
	link, err := config.keepConnecting("test", log)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	check := newStartCheck(config, Safety{}, log, web.Registry)
	check.every = 20 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	if err := check.await(ctx, link); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); check.repeat(ctx, link) }()
	defer func() { stop(); <-ended }()
	ready := check.ready(link, func() ([]string, error) { return nil, nil })
	said := func() string {
		missing, err := ready()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(missing, "\n")
	}
	metric := func() (n float64) {
		families, err := web.Registry.Gather()
		for _, f := range families {
			if f.GetName() == "millpond_unsafe_findings" {
				n = f.Metric[0].Gauge.GetValue()
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	restart := func(sync bool) {
		away.Shutdown()
		away.WaitForShutdown()
		away = other(sync)
	}
	restart(false)
	p.await("the health check names the server", func() bool { return strings.Contains(said(), "UNSAFE: acks come before") }, func() any { return said() })
	p.awaitLog("level=ERROR msg=\"UNSAFE: acks come before records are on disk, so a power cut loses commits, on the NATS servers other")
	if n := metric(); n != 1 {
		t.Errorf("the metric is %v, want 1", n)
	}
	restart(true)
	p.await("the health check has forgotten it", func() bool { return said() == "" }, func() any { return said() })
	p.awaitLog("safe again")
	if n := strings.Count(p.log.String(), "UNSAFE"); n != 1 || metric() != 0 {
		t.Errorf("it was logged %d times, want once; the metric is %v", n, metric())
	}
}

// A user who may not ask JetStream sees what the processes say, and is told for the rest whose user to take; so is who verifies.
func TestStatusAsClient(t *testing.T) {
	s := natsServer(t, users)
	expectWorks(t, reader(t, as("reader", s), nil), writer(t, as("writer", s), nil))
	c := as("client", s)
	conn, err := c.Dial("test")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	o, err := c.Look(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Databases) != 1 || o.Databases[0].End == 0 || o.Databases[0].Problem == "" || len(o.Readers) != 1 || len(o.Writers) != 1 {
		t.Errorf("got %+v; want one database, whose stream is not known, a reader and a writer", o)
	}
	if len(o.Warnings) == 0 || !strings.Contains(o.Warnings[0], "use that of a kvreader") {
		t.Errorf("got the warnings %q", o.Warnings)
	}
	if _, err := service.Verify(t.Context(), conn, "default"); !errors.Is(err, kv.ErrUnauthorized) || !strings.Contains(err.Error(), "use that of a kvreader") {
		t.Errorf("verify: got %v", err)
	}
}

// A copy of a log that lacks messages is a warning, which JetStream has not given.
func TestHolesAreSeen(t *testing.T) {
	s := natsServer(t, nil)
	letAskServers(t, s)
	c := at(s)
	conn, err := c.Dial("test")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "millpond_orders", Subjects: []string{"millpond.orders.log.*"}, Metadata: map[string]string{"millpond.id": "f47ac10b-58cc-4372-a567-0e02b2c3d479"}})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := js.Publish(t.Context(), "millpond.orders.log.commits", nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, lost := range []uint64{2, 4} {
		if err := stream.DeleteMsg(t.Context(), lost); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := askHoles(t.Context(), conn, 1), map[copyOf]uint64{{"alone", "orders"}: 2}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	o, err := c.Look(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(o.Warnings, func(w string) bool { return strings.Contains(w, "on alone has lost 2 messages") }) {
		t.Errorf("got the warnings %q", o.Warnings)
	}
}
