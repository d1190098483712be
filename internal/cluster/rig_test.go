package cluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// natsServer starts a NATS server with JetStream that syncs always, after change has changed its options.
func natsServer(t *testing.T, change func(*server.Options)) *server.Server {
	t.Helper()
	options := &server.Options{
		ServerName: "alone", Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), SyncAlways: true,
	}
	if change != nil {
		change(options)
	}
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server did not start")
	}
	return s
}

// patience bounds how long a test waits for what must happen.
const patience = 30 * time.Second

// program is a kvreader or kvwriter in this process.
type program struct {
	t     *testing.T
	addr  string // of its health
	log   logBuffer
	stop  context.CancelFunc
	ended chan struct{}
	err   error // why it ended; valid once ended is closed
}

// start runs a program until the test ends, or it ends by itself.
func start(t *testing.T, s Settings) *program {
	t.Helper()
	p := &program{t: t, addr: s.healthAddr(), ended: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() {
		defer close(p.ended)
		p.err = s.Run(ctx, slog.New(slog.NewTextHandler(&p.log, nil)))
	}()
	t.Cleanup(func() {
		stop()
		<-p.ended
		if t.Failed() {
			t.Logf("%s logged:\n%s", p.addr, p.log.String())
		}
	})
	return p
}

// awaitHealth waits until /readyz says that all is well, or a reason with these words.
func (p *program) awaitHealth(words string) {
	p.t.Helper()
	var last error
	p.await("its health check says "+words, func() bool {
		last = health(context.Background(), p.addr, io.Discard)
		return last == nil && words == "" || last != nil && words != "" && strings.Contains(last.Error(), words)
	}, func() any { return last })
}

// awaitLog waits until the program has logged these words.
func (p *program) awaitLog(words string) {
	p.t.Helper()
	p.await("it has logged "+words, func() bool { return strings.Contains(p.log.String(), words) }, func() any { return "" })
}

func (p *program) await(what string, done func() bool, last func() any) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		select {
		case <-p.ended:
			p.t.Fatalf("the program ended with %v before %s", p.err, what)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("not within %v: %s; at the end: %v", patience, what, last())
		}
	}
}

// expectRefusal waits until the program has ended, and expects it to have said all these words.
func (p *program) expectRefusal(words ...string) {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("the program goes on; want a refusal with %q", words)
	}
	for _, word := range words {
		if p.err == nil || !strings.Contains(p.err.Error(), word) {
			p.t.Errorf("it ended with %v; want a refusal with %q", p.err, word)
		}
	}
}

const token = "long-enough-a-token"

// reader and writer are programs that try things out with one NATS server, unless change says otherwise.
func reader(t *testing.T, nats NATS, change func(*ReaderConfig)) *program {
	t.Helper()
	c := &ReaderConfig{
		NATS: nats, Safety: Safety{AllowUnsafe: true}, Addr: freeAddr(t), AccessToken: token, CreateDatabases: true, Replicas: 1,
		ReadyLag: 1000, DrainTimeout: time.Second,
	}
	if change != nil {
		change(c)
	}
	return start(t, c)
}

func writer(t *testing.T, nats NATS, change func(*WriterConfig)) *program {
	t.Helper()
	c := &WriterConfig{NATS: nats, Safety: Safety{AllowUnsafe: true}, Lease: minLease, History: time.Hour, HTTPAddr: freeAddr(t)}
	if change != nil {
		change(c)
	}
	return start(t, c)
}

// freeAddr returns an address that nobody listened on a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// logBuffer can be written and read at the same time.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// expectWorks writes through a reader and reads back, once both programs are ready.
func expectWorks(t *testing.T, r, w *program) {
	t.Helper()
	r.awaitHealth("")
	w.awaitHealth("")
	if err := writeAndRead(t.Context(), "http://"+r.addr); err != nil {
		t.Error(err)
	}
}

var errOther = errors.New("something else was read than had been written")
