package natslog

import (
	"github.com/millpondkv/millpond/internal/near"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// AppendNear makes Append publish over a connection to the very server that leads the stream, if the pool has one: records and
// their acks need not pass from server to server then. Who leads it is known from the last call of Bounds, which comes before
// every epoch; if another server leads since, records pass on from there. It must be called before anything else is.
func (l *Log) AppendNear(conns *near.Pool) { l.conns = conns }

// publisher is JetStream over one connection.
type publisher struct {
	conn *nats.Conn
	js   jetstream.JetStream
}

// publisher returns the way to the stream's leader.
func (l *Log) publisher() jetstream.JetStream {
	leader := l.leader.Load()
	if l.conns == nil || leader == nil {
		return l.js
	}
	conn := l.conns.To(*leader)
	if conn == l.conns.Main() {
		return l.js
	}
	if p := l.near.Load(); p != nil && p.conn == conn {
		return p.js
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return l.js
	}
	l.near.Store(&publisher{conn, js})
	return js
}
