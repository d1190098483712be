package cluster

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millpondkv/millpond/internal/front"
	"github.com/spf13/cobra"
)

// The health check says what /readyz of the same address says, wherever the program listens.
func TestHealth(t *testing.T) {
	var missing []string
	var amiss error
	web, err := front.Start("0.0.0.0:0", "--addr", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	addr := web.Addr().String()
	if err := health(t.Context(), addr, io.Discard); err == nil {
		t.Error("healthy before anything is open")
	}
	web.Open(func() ([]string, error) { return missing, amiss }, nil)
	if err := health(t.Context(), addr, io.Discard); err != nil {
		t.Errorf("not healthy: %v", err)
	}
	missing = []string{"one is missing", "another too"}
	var out strings.Builder
	if err := health(t.Context(), addr, &out); err != nil || out.String() != "ok\none is missing\nanother too\n" {
		t.Errorf("got %q, %v; want what is missing, in lines", out.String(), err)
	}
	amiss = errors.New("far behind")
	if err := health(t.Context(), addr, io.Discard); err == nil || !strings.Contains(err.Error(), "far behind") {
		t.Errorf("got %v; want what is amiss", err)
	}
}

// Settings that cannot work are refused before anything is connected, with a sentence that says what to do.
func TestRefused(t *testing.T) {
	for want, s := range map[string]Settings{
		"no access token is set":            &ReaderConfig{Replicas: 3},
		"--replicas must be from 1 to 5":    &ReaderConfig{AccessToken: token, Replicas: 6},
		"--replicas 1 keeps too few copies": &ReaderConfig{AccessToken: token, Replicas: 1},
		"use at least 12":                   &ReaderConfig{AccessToken: "short", Replicas: 3},
		"it must be at least 2s":            &WriterConfig{},
		`no database can be named "Orders"`: &WriterConfig{Lease: minLease, History: time.Hour, Databases: []string{"Orders"}},
		"--history must be above zero":      &WriterConfig{Lease: minLease},
		"--checkpoint-bytes must be":        &WriterConfig{Lease: minLease, History: time.Hour, HTTPAddr: "127.0.0.1:0", Checkpoints: Checkpoints{CheckpointDir: t.TempDir()}},
	} {
		if err := s.Run(t.Context(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want a sentence with %q", err, want)
		}
	}
}

// An address that another process uses is refused with the flag to change.
func TestTakenAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	writer(t, NATS{}, func(c *WriterConfig) { c.HTTPAddr = addr }).expectRefusal(addr, "--http-addr")
	reader(t, NATS{}, func(c *ReaderConfig) { c.Addr = addr }).expectRefusal(addr, "--addr")
}

// executed is a program's settings that Execute has loaded; Run notes that.
type executed struct {
	ReaderConfig
	servers []string
}

func (e *executed) Run(context.Context, *slog.Logger) error {
	e.servers = e.Servers
	return nil
}

// A flag comes before the environment, that before the file, and that before the default; help names all of them.
func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kvreader.yaml")
	if err := os.WriteFile(file, []byte("nats: [nats://file-a:1, nats://file-b:1]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	execute := func(args ...string) (servers, out string, code int) {
		e := &executed{}
		var text strings.Builder
		cmd := &cobra.Command{Use: "kvreader"}
		cmd.SetArgs(args)
		cmd.SetOut(&text)
		cmd.SetErr(&text)
		code = Execute(cmd, e)
		return strings.Join(e.servers, " "), text.String(), code
	}
	expect := func(want string, args ...string) {
		t.Helper()
		if got, out, code := execute(args...); got != want || code != 0 {
			t.Errorf("%v: got %q and code %d; want %q\n%s", args, got, code, want, out)
		}
	}
	expect("nats://127.0.0.1:4222")
	expect("nats://file-a:1 nats://file-b:1", "--config", file)
	t.Setenv("MILLPOND_CONFIG", file)
	expect("nats://file-a:1 nats://file-b:1")
	t.Setenv("MILLPOND_NATS", "nats://variable-a:1,nats://variable-b:1")
	expect("nats://variable-a:1 nats://variable-b:1")
	expect("nats://flag:1", "--nats", "nats://flag:1")

	_, help, code := execute("--help")
	for _, want := range []string{"--nats list", "MILLPOND_NATS]", "--nats-creds", "--nats-ca", "--nats-monitor", "--allow-unsafe", "--config file", "DENO_KV_ACCESS_TOKEN"} {
		if !strings.Contains(help, want) || code != 0 {
			t.Errorf("the help, with code %d, lacks %q:\n%s", code, want, help)
		}
	}
	for want, args := range map[string][]string{
		"unknown flag: --natz":     {"--natz", "x"},
		"\"much\" is neither true": {"--allow-unsafe=much"},
		"no setting \"natz\"":      {"--config", misspelt(t)},
	} {
		if _, out, code := execute(args...); code != exitUsage || !strings.Contains(out, want) || !strings.Contains(out, "See: kvreader --help") {
			t.Errorf("%v: code %d, want %d, and the words %q:\n%s", args, code, exitUsage, want, out)
		}
	}
}

func misspelt(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "misspelt.yaml")
	if err := os.WriteFile(file, []byte("natz: nats://a:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
