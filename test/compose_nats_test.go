package test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/kv"
)

// natsUsers is a NATS server with the users of deploy/nats, and their passwords.
type natsUsers struct {
	t         *testing.T
	server    *natsserver.Server
	passwords map[string]string // by user
}

// startNATSUsers starts the server alone: the configuration without its cluster.
func startNATSUsers(t *testing.T) *natsUsers {
	t.Helper()
	root := t.TempDir() // laid out as in a container: /etc/nats and /run/secrets
	if err := os.CopyFS(filepath.Join(root, "etc/nats"), os.DirFS("../deploy/nats")); err != nil {
		t.Fatal(err)
	}
	secrets := filepath.Join(root, "run/secrets")
	mustRun(t, "sh", "../deploy/make-secrets.sh", secrets)
	options, err := natsserver.ProcessConfigFile(filepath.Join(root, "etc/nats/nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if !options.SyncAlways {
		t.Error("deploy/nats/nats.conf does not sync always")
	}
	if cluster := options.Cluster; cluster.Password == "" || len(options.Routes) != 3 {
		t.Errorf("the cluster has %d routes and the password %q; want 3 and one", len(options.Routes), cluster.Password)
	}
	options.Cluster, options.Routes = natsserver.ClusterOpts{}, nil
	options.Host, options.Port, options.HTTPPort = "127.0.0.1", natsserver.RANDOM_PORT, 0
	options.StoreDir, options.NoSigs, options.NoLog = t.TempDir(), true, true
	s, err := natsserver.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(startWait) {
		t.Fatal("the NATS server did not start")
	}
	return &natsUsers{t: t, server: s, passwords: natsPasswords(t, secrets)}
}

// natsPasswords reads the passwords that deploy/make-secrets.sh has made, by user.
func natsPasswords(t *testing.T, secrets string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(secrets, "nats-passwords.conf"))
	if err != nil {
		t.Fatal(err)
	}
	passwords := map[string]string{}
	for _, match := range regexp.MustCompile(`(?m)^([A-Z]+)_PASSWORD: "([0-9a-f]{48})"$`).FindAllStringSubmatch(string(text), -1) {
		passwords[strings.ToLower(match[1])] = match[2]
	}
	return passwords
}

func (n *natsUsers) connect(user string) *nats.Conn {
	n.t.Helper()
	conn, err := nats.Connect(n.server.ClientURL(), nats.UserInfo(user, n.passwords[user]), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		n.t.Fatalf("connect as %s: %v", user, err)
	}
	n.t.Cleanup(conn.Close)
	return conn
}

func (n *natsUsers) jetStream(user string) jetstream.JetStream {
	n.t.Helper()
	js, err := jetstream.New(n.connect(user))
	if err != nil {
		n.t.Fatal(err)
	}
	return js
}

// A stranger, or somebody with a wrong password, is not let in.
func TestNATSRefusesStrangers(t *testing.T) {
	n := startNATSUsers(t)
	for name, option := range map[string]nats.Option{
		"nobody":         nats.Name("nobody"),
		"wrong password": nats.UserInfo("writer", n.passwords["reader"]),
	} {
		if conn, err := nats.Connect(n.server.ClientURL(), option); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: got %v, %v; want ErrAuthorization", name, conn, err)
		}
	}
}

// What a log is made of works for those who need it: a reader makes the database and reads it, the writer appends. An
// append by the reader is refused, and nothing of it is in the log.
func TestNATSUsersOfALog(t *testing.T) {
	n := startNATSUsers(t)
	ctx := t.Context()
	readers, err := natslog.Create(ctx, n.jetStream("reader"), "orders", natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	js := n.jetStream("writer")
	names, err := natslog.List(ctx, js)
	if diff := cmp.Diff(names, []string{"orders"}); diff != "" || err != nil {
		t.Fatalf("databases: %v, got (-), want (+):\n%s", err, diff)
	}
	writers, err := natslog.Open(ctx, js, "orders")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writers.Append(ctx, events.Append{Kind: events.KindEpoch, Data: []byte("the writer's")}); err != nil {
		t.Fatalf("append as the writer: %v", err)
	}
	refused := n.connect("reader")
	expectRefused(t, refused, "millpond.orders.log.commits", refused.Publish("millpond.orders.log.commits", []byte("the reader's")))

	if err := readers.Check(ctx); err != nil {
		t.Error(err)
	}
	if _, last, err := readers.Bounds(ctx); last != 1 || err != nil {
		t.Errorf("the log ends at %d, %v; want 1", last, err)
	}
	records, err := readers.Read(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	if got, err := records.Next(ctx); err != nil || string(got.Data) != "the writer's" {
		t.Errorf("record 1: %q, %v", got.Data, err)
	}
	if err := readers.Verify(ctx, events.Chain{Applied: 1}); err != nil {
		t.Error(err)
	}
}

// Writers and readers may ask every NATS server how it keeps streams, and nothing else of the system account.
func TestNATSUsersAskTheServers(t *testing.T) {
	n := startNATSUsers(t)
	for _, user := range []string{"writer", "reader"} {
		m, err := n.connect(user).Request("$SYS.REQ.SERVER.PING.JSZ", nil, startWait)
		if err != nil || !strings.Contains(string(m.Data), `"sync_always":true`) {
			t.Errorf("%s asks: %v, %v; want an answer with sync_always", user, m, err)
		}
		conn := n.connect(user)
		expectRefused(t, conn, user+" asks for connections", conn.Publish("$SYS.REQ.SERVER.PING.CONNZ", nil))
	}
	client := n.connect("client")
	expectRefused(t, client, "the client asks", client.Publish("$SYS.REQ.SERVER.PING.JSZ", nil))
}

// Each user may publish what its program sends, and is refused what would forge or destroy a log.
func TestNATSPermissions(t *testing.T) {
	const log, epoch, heartbeat, request, index = "millpond.orders.log.commits", "millpond.orders.log.epoch", "millpond.orders.leader",
		"millpond.orders.w.01JZ0000000000000000000000.commit", "millpond.orders.w.01JZ0000000000000000000000.index"
	const purge = "$JS.API.STREAM.PURGE.millpond_orders" // trims the log
	questions := []string{"millpond.orders.find", "millpond.orders.read", "millpond.orders.watch", "millpond.orders.feed", "millpond.orders.history", "millpond.orders.queue", "millpond.orders.leave", "millpond.orders.r.01JZ0000000000000000000000.1"}
	destructive := []string{
		"$JS.API.STREAM.DELETE.millpond_orders", "$JS.API.STREAM.UPDATE.millpond_orders",
		"$JS.API.STREAM.MSG.DELETE.millpond_orders", "$JS.API.STREAM.RESTORE.millpond_orders",
		"$JS.API.STREAM.PEER.REMOVE.millpond_orders", "$JS.API.META.LEADER.STEPDOWN", "$JS.API.SERVER.REMOVE", "$SYS.REQ.SERVER.PING",
	}
	n := startNATSUsers(t)
	for user, publish := range map[string]struct{ allowed, refused []string }{
		"writer": {[]string{log, epoch, heartbeat, request, purge}, destructive},
		"reader": {[]string{request}, append([]string{log, epoch, heartbeat, purge}, destructive...)},
		"client": {append(questions, request, index), append([]string{log, epoch, heartbeat, purge, "_INBOX.other", "millpond.orders.queue.ready", "millpond.orders.queue.cursor", "$JS.API.STREAM.CREATE.mine",
			"$JS.API.DIRECT.GET.millpond_orders"}, destructive...)},
	} {
		for _, subject := range publish.allowed {
			conn := n.connect(user)
			if err := errors.Join(conn.Publish(subject, nil), conn.Flush(), conn.LastError()); err != nil {
				t.Errorf("%s publishes %s: %v", user, subject, err)
			}
		}
		for _, subject := range publish.refused {
			conn := n.connect(user)
			expectRefused(t, conn, user+" publishes "+subject, conn.Publish(subject, nil))
		}
	}
	for user, subjects := range map[string][]string{
		"reader": {request, "$JS.API.>", "$SYS.>"},
		"client": append(questions, request, log, "millpond.>", "$JS.API.>"), // nobody can answer in a reader's place
	} {
		for _, subject := range subjects {
			conn := n.connect(user)
			_, err := conn.SubscribeSync(subject)
			expectRefused(t, conn, user+" subscribes to "+subject, err)
		}
	}
}

// With these permissions, a program with the client's password writes, reads, watches and reads the past, and is refused nothing on the way.
func TestNATSClient(t *testing.T) {
	n := startNATSUsers(t)
	bin := buildCluster(t)
	url := func(user string) string {
		return "nats://" + user + ":" + n.passwords[user] + "@" + n.server.Addr().String()
	}
	for program, args := range map[string][]string{
		"kvwriter": {"--nats", url("writer"), "--allow-unsafe", "--http-addr"},
		"kvreader": {"--nats", url("reader"), "--replicas", "1", "--allow-unsafe", "--access-token", accessToken, "--addr"},
	} {
		addr := freeAddr(t)
		p := &process{t: t, args: append(append([]string{filepath.Join(bin, program)}, args...), addr), ready: "http://" + addr + "/readyz"}
		p.run()
		t.Cleanup(func() { p.end(syscall.SIGTERM) })
		p.await(startWait)
	}
	if _, err := client.Open(t.Context(), strings.Replace(url("client"), n.passwords["client"], "wrong", 1)+"/orders"); !errors.Is(err, kv.ErrUnauthorized) {
		t.Errorf("with a wrong password: %v; want ErrUnauthorized", err)
	}
	var warned logBuffer
	db, err := client.Open(t.Context(), url("client")+"/orders", client.WithLogger(slog.New(slog.NewTextHandler(&warned, &slog.HandlerOptions{Level: slog.LevelWarn}))))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	want, err := db.Set(t.Context(), kv.Key{"a"}, client.Bytes([]byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []client.Consistency{client.Strong, client.Eventual} {
		if got, err := db.WithConsistency(c).Get(t.Context(), kv.Key{"a"}); err != nil || got.Versionstamp != want {
			t.Errorf("%v read: %v, %v; want %v", c, got, err, want)
		}
	}
	for entries, err := range db.Watch(t.Context(), kv.Key{"a"}) {
		if err != nil || entries[0].Versionstamp != want {
			t.Errorf("watch: %v, %v; want %v", entries, err, want)
		}
		break
	}
	if got, err := db.At(kv.Moment{Versionstamp: want}).Get(t.Context(), kv.Key{"a"}); err != nil || got.Versionstamp != want {
		t.Errorf("read of the past: %v, %v; want %v", got, err, want)
	}
	undelivered := kv.Key{"undelivered"}
	if _, err := db.Enqueue(t.Context(), "y", client.EnqueueOptions{Backoff: []time.Duration{0}, KeysIfUndelivered: []kv.Key{undelivered}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, startWait, "the queue is there", func() bool { _, err := db.QueueStats(t.Context()); return err == nil })
	l := listen(t, db, 1, func(_ context.Context, _ any, m kv.Message) error { return errors.New("never") })
	eventually(t, startWait, "the message is given up", func() bool {
		e, err := db.Get(t.Context(), undelivered)
		return err == nil && e.Exists()
	})
	l.stop()
	if strings.Count(warned.String(), "\n") != 2 || strings.Count(warned.String(), "a message was not handled") != 2 { // both attempts
		t.Errorf("the client was warned:\n%s", warned.String())
	}
}

// expectRefused fails the test unless the server has refused what was sent last.
func expectRefused(t *testing.T, conn *nats.Conn, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := conn.FlushTimeout(10 * time.Second); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := conn.LastError(); !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("%s: got %v; want ErrPermissionViolation", what, err)
	}
}
