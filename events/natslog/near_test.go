package natslog_test

import (
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/near"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// startServers starts a cluster of two servers with JetStream.
func startServers(t *testing.T) (servers [2]*server.Server) {
	t.Helper()
	var ports [2]int
	var routes []*url.URL
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = l.Addr().(*net.TCPAddr).Port
		routes = append(routes, &url.URL{Scheme: "nats", Host: l.Addr().String()})
		l.Close()
	}
	for i := range servers {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, Routes: routes,
			JetStream: true, StoreDir: t.TempDir(), Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[i]},
		})
		if err != nil {
			t.Fatal(err)
		}
		go s.Start() // it waits for the other one
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers[i] = s
	}
	eventually(t, "JetStream has a leader", func() bool {
		return servers[0].JetStreamIsLeader() || servers[1].JetStreamIsLeader()
	})
	for _, s := range servers {
		eventually(t, "a server knows the leader", func() bool { return s.ReadyForConnections(time.Millisecond) && s.JetStreamIsCurrent() })
	}
	return servers
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// Records reach the stream over a connection to the server that leads it, as soon as there is one, and go on without when that
// is lost.
func TestAppendNear(t *testing.T) {
	servers := startServers(t)
	conns := [2]*nats.Conn{}
	for i, s := range servers {
		conn, err := nats.Connect(s.ClientURL())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		conns[i] = conn
	}
	made, err := jetstream.New(conns[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := natslog.Create(t.Context(), made, "orders", natslog.Config{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	stream, err := made.Stream(t.Context(), "millpond_orders")
	if err != nil {
		t.Fatal(err)
	}
	leader := 0
	if stream.CachedInfo().Cluster.Leader == "n1" {
		leader = 1
	}
	main := conns[1-leader]
	js, err := jetstream.New(main)
	if err != nil {
		t.Fatal(err)
	}
	log, err := natslog.Open(t.Context(), js, "orders")
	if err != nil {
		t.Fatal(err)
	}
	pool := near.NewPool(main)
	defer pool.Close()
	log.AppendNear(pool)
	_, last, err := log.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	write := func() {
		t.Helper()
		position, err := log.Append(t.Context(), events.Append{Kind: events.KindEpoch, Data: []byte("x"), Last: last})
		if err != nil {
			t.Fatal(err)
		}
		last = position
	}
	before := main.Stats().OutMsgs
	eventually(t, "a record does not go over the main connection", func() bool {
		before = main.Stats().OutMsgs
		write()
		return main.Stats().OutMsgs == before
	})
	pool.Close()
	write()
	if main.Stats().OutMsgs == before {
		t.Error("after the other connection was lost, the record has not gone over the main one")
	}
}
