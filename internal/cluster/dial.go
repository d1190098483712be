package cluster

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
)

// Dial connects at once, for a command that asks and ends. It fails if no server takes the connection.
func (c NATS) Dial(name string) (*nats.Conn, error) {
	if (c.Cert == "") != (c.Key == "") {
		return nil, errors.New("--nats-cert and --nats-key belong together; give both or neither")
	}
	options := []nats.Option{nats.Name(name), nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPings), nats.Timeout(connectTimeout)}
	if c.Creds != "" {
		options = append(options, nats.UserCredentials(c.Creds))
	}
	if c.CA != "" {
		options = append(options, nats.RootCAs(c.CA))
	}
	if c.Cert != "" {
		options = append(options, nats.ClientCert(c.Cert, c.Key))
	}
	conn, err := nats.Connect(strings.Join(c.Servers, ","), options...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w; check --nats and its other settings", err)
	}
	return conn, nil
}
