package client

import (
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// inbox is where the answers of all requests arrive.
type inbox struct {
	conn   *nats.Conn
	prefix string // of the subjects, with a dot at the end

	mu       sync.Mutex
	last     uint64
	handlers map[string]func(*nats.Msg) // by the last token of the subject
}

func newInbox(conn *nats.Conn) *inbox {
	return &inbox{conn: conn, prefix: conn.NewInbox() + ".", handlers: map[string]func(*nats.Msg){}}
}

// listen begins to take messages. What comes is at most what was asked for, so that it needs no bound here.
func (b *inbox) listen() error {
	sub, err := b.conn.Subscribe(b.prefix+"*", b.take)
	if err != nil {
		return err
	}
	return sub.SetPendingLimits(-1, -1)
}

func (b *inbox) take(m *nats.Msg) {
	token := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	b.mu.Lock()
	handle := b.handlers[token]
	b.mu.Unlock()
	if handle != nil { // otherwise it comes too late
		handle(m)
	}
}

// open returns a subject whose messages handle gets, from one goroutine for all subjects, until forget is called.
func (b *inbox) open(handle func(*nats.Msg)) (subject string, forget func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	token := strconv.FormatUint(b.last, 36)
	b.handlers[token] = handle
	return b.prefix + token, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.handlers, token)
	}
}
