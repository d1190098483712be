// Package natsserver runs a NATS server with JetStream inside this process, for everything in one process and for tests.
package natsserver

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startTimeout bounds how long the server may take to recover its streams: JetStream reads their indexes, and the
// messages only after an unclean stop.
const startTimeout = 5 * time.Minute

// Server is a running NATS server that only this process can reach.
type Server struct {
	server *server.Server
	fatal  *fatalLogger
}

// Start runs a server that keeps its streams in dir and syncs every write to disk before it acks. It blocks until
// the server takes connections. The caller must make sure that no other process uses dir.
func Start(dir string, log *slog.Logger) (*Server, error) {
	s, err := server.NewServer(&server.Options{
		ServerName:         "millpond",
		DontListen:         true,
		NoSigs:             true,
		JetStream:          true,
		StoreDir:           dir,
		SyncAlways:         true,
		JetStreamMaxMemory: math.MaxInt64, // the machine's limits are the limits, not a share of what was free at start
		JetStreamMaxStore:  math.MaxInt64,
	})
	if err != nil {
		return nil, fmt.Errorf("configure the embedded NATS server: %w", err)
	}
	logger := &fatalLogger{log: log, failed: make(chan string, 1)}
	s.SetLoggerV2(logger, false, false, false)
	ready := make(chan bool, 1)
	go func() {
		s.Start()
		ready <- s.ReadyForConnections(startTimeout)
	}()
	select {
	case reason := <-logger.failed:
		s.Shutdown()
		return nil, fmt.Errorf("start the embedded NATS server: %s", reason)
	case ok := <-ready:
		if !ok {
			s.Shutdown()
			return nil, fmt.Errorf("the embedded NATS server was not ready after %v", startTimeout)
		}
	}
	return &Server{server: s, fatal: logger}, nil
}

// Connect returns a connection that does not pass through the network.
func (s *Server) Connect() (*nats.Conn, error) {
	conn, err := nats.Connect("", nats.InProcessServer(s.server), nats.Name("millpond"), nats.MaxReconnects(-1),
		nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("connect to the embedded NATS server: %w", err)
	}
	return conn, nil
}

// Check reports whether JetStream is in order, its files writable included.
func (s *Server) Check() error {
	select {
	case reason := <-s.fatal.failed:
		s.fatal.failed <- reason
		return errors.New(reason)
	default:
	}
	if h := s.server.Healthz(&server.HealthzOptions{}); h.StatusCode >= 400 {
		return fmt.Errorf("JetStream: %s", h.Error)
	}
	return nil
}

// Stop ends the server and blocks until its files are closed.
func (s *Server) Stop() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// fatalLogger passes the server's log on. It does not exit the process on a fatal error, as the server's own does.
type fatalLogger struct {
	log    *slog.Logger
	failed chan string // the first fatal error
}

func (l *fatalLogger) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.log.Error("NATS: " + text)
	select {
	case l.failed <- text:
	default:
	}
}

func (l *fatalLogger) Errorf(format string, args ...any) {
	l.log.Error("NATS: " + fmt.Sprintf(format, args...))
}
func (l *fatalLogger) Warnf(format string, args ...any) {
	l.log.Warn("NATS: " + fmt.Sprintf(format, args...))
}
func (l *fatalLogger) Noticef(format string, args ...any) {
	l.log.Debug("NATS: " + fmt.Sprintf(format, args...))
}
func (l *fatalLogger) Debugf(string, ...any) {}
func (l *fatalLogger) Tracef(string, ...any) {}
