package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/millpondkv/millpond/internal/natsserver"
)

// Logs are the logs of a data directory that no engine uses, opened to be read as they are: nothing is replayed or appended.
type Logs struct {
	dir  *directory
	nats *natsserver.Server
	conn *nats.Conn
	js   jetstream.JetStream
}

// OpenLogs locks the directory, which must be there. It fails if another process uses it.
func OpenLogs(path string, log *slog.Logger) (*Logs, error) {
	if _, err := os.Stat(filepath.Join(path, formatFile)); err != nil {
		return nil, fmt.Errorf("%s is not a data directory of millpond: %w", path, err)
	}
	dir, err := openDirectory(Config{Dir: path})
	if err != nil {
		return nil, err
	}
	l := &Logs{dir: dir}
	if err := l.start(log); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Logs) start(log *slog.Logger) (err error) {
	if l.nats, err = natsserver.Start(l.dir.nats(), log); err != nil {
		return err
	}
	if l.conn, err = l.nats.Connect(); err != nil {
		return err
	}
	if l.js, err = jetstream.New(l.conn); err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	return nil
}

// JetStream is where package natslog finds the logs. It is not to be appended to.
func (l *Logs) JetStream() jetstream.JetStream { return l.js }

// Close gives the directory free.
func (l *Logs) Close() error {
	if l.conn != nil {
		l.conn.Close()
	}
	if l.nats != nil {
		l.nats.Stop()
	}
	return l.dir.close()
}
