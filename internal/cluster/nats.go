package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/millpondkv/millpond/internal/fault"
	"github.com/nats-io/nats.go"
)

// NATS is the settings of the connection to the NATS cluster.
type NATS struct {
	Servers   []string `config:"nats" default:"nats://127.0.0.1:4222" help:"the NATS servers, as a list of URLs"`
	Creds     string   `config:"nats-creds" help:"authenticate with this credentials file"`
	CA        string   `config:"nats-ca" help:"speak TLS and trust the certificates of this PEM file"`
	Cert      string   `config:"nats-cert" help:"present this certificate, a PEM file"`
	Key       string   `config:"nats-key" help:"the key of that certificate, a PEM file"`
	LogFormat string   `config:"log-format" default:"auto" help:"auto, text or json; auto is for people on a terminal and text elsewhere"`
	LogLevel  string   `config:"log-level" default:"info" help:"debug, info, warn or error"`
}

// A NATS server that is lost is noticed after two pings, and another one is tried soon: the client's own defaults are made
// for programs that can wait for minutes.
const (
	pingInterval   = time.Second
	maxPings       = 2
	reconnectWait  = 100 * time.Millisecond
	reconnectJit   = 100 * time.Millisecond
	connectTimeout = 2 * time.Second
)

func (c NATS) connect(name string, log *slog.Logger) (*nats.Conn, error) {
	if (c.Cert == "") != (c.Key == "") {
		return nil, errors.New("--nats-cert and --nats-key belong together; give both or neither")
	}
	options := []nats.Option{
		nats.Name(name), nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPings), nats.Timeout(connectTimeout),
		nats.SetCustomDialer(fault.Dialer(connectTimeout)), // nil but in tests
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectJit, reconnectJit),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1), // what is sent while nothing is connected fails, and does not arrive later
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { log.Warn("the connection to NATS is lost", "error", err) }),
		nats.ConnectHandler(func(conn *nats.Conn) { log.Info("connected to NATS", "server", conn.ConnectedUrlRedacted()) }),
		nats.ReconnectHandler(func(conn *nats.Conn) { log.Info("connected to NATS again", "server", conn.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { log.Warn("NATS says", "error", err) }),
	}
	if c.Creds != "" {
		options = append(options, nats.UserCredentials(c.Creds))
	}
	if c.CA != "" {
		options = append(options, nats.RootCAs(c.CA))
	}
	if c.Cert != "" {
		options = append(options, nats.ClientCert(c.Cert, c.Key))
	}
	log.Info("connecting to NATS", "servers", len(c.Servers))
	conn, err := nats.Connect(strings.Join(c.Servers, ","), options...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w; check --nats and its other settings", err)
	}
	return conn, nil
}

// processName names this process to people: the program, the machine and the process id.
func processName(program string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s %s %d", program, host, os.Getpid())
}
