package checkpoints_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// startDeployed runs a NATS server with the users of deploy/nats, and returns a connection for each of some.
func startDeployed(t *testing.T, users ...string) (all []jetstream.JetStream) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/nats/users.conf")
	if err != nil {
		t.Fatal(err)
	}
	passwords := "WRITER_PASSWORD: p\nREADER_PASSWORD: p\nCLIENT_PASSWORD: p\nADMIN_PASSWORD: p\nSYSTEM_PASSWORD: p\n"
	config := strings.Replace(string(text), "include ../../run/secrets/nats-passwords.conf", passwords, 1)
	file := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, "%s\nlisten: \"127.0.0.1:-1\"\njetstream { store_dir: %q }\n", config, t.TempDir()), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	options.NoLog, options.NoSigs = true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	for _, user := range users {
		conn, err := nats.Connect(s.ClientURL(), nats.UserInfo(user, "p"), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, js)
	}
	return all
}

// With the permissions of deploy/nats a writer takes checkpoints and deletes them, a reader reads them and sets holds, and cannot do what is
// the writer's.
func TestPermissions(t *testing.T) {
	users := startDeployed(t, "writer", "reader")
	writer, reader := users[0], users[1]
	b := open(t, writer)
	put(t, b, first, 5, contents(5))
	put(t, b, first, 6, contents(6))
	if err := b.Delete(t.Context(), first, 5); err != nil {
		t.Errorf("a writer deletes: %v", err)
	}
	if err := b.Sweep(t.Context(), first, time.Now()); err != nil {
		t.Errorf("a writer sweeps: %v", err)
	}
	r := open(t, reader)
	if got, err := get(t.Context(), r, first, 6); err != nil || !bytes.Equal(got, contents(6)) {
		t.Errorf("a reader has %d bytes, %v; want what was put", len(got), err)
	}
	if err := r.Delete(t.Context(), first, 6); err == nil {
		t.Error("a reader has deleted a checkpoint")
	}
	if _, err := reader.Publish(t.Context(), "$O.millpond_checkpoints.C.x", nil); err == nil {
		t.Error("a reader has stored something in the bucket")
	}
	holds, err := checkpoints.OpenHolds(t.Context(), reader, checkpoints.Config{Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := holds.Set(t.Context(), first, checkpoints.Hold{Name: "backup-1", Position: 3}); err != nil {
		t.Errorf("a reader sets a hold: %v", err)
	}
	seen, err := checkpoints.OpenHolds(t.Context(), writer, checkpoints.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if list, err := seen.List(t.Context(), first); err != nil || len(list) != 1 {
		t.Errorf("a writer sees the holds %v, %v", list, err)
	}
	if err := holds.Remove(t.Context(), first, "backup-1"); err != nil {
		t.Errorf("a reader removes its hold: %v", err)
	}
}
