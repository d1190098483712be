package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/millpondkv/millpond/internal/fault"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// NATS is the settings of the connection to the NATS cluster.
type NATS struct {
	Servers []string `config:"nats" default:"nats://127.0.0.1:4222" help:"the NATS servers, as a list of URLs"`
	Creds   string   `config:"nats-creds" help:"authenticate with this credentials file"`
	CA      string   `config:"nats-ca" help:"speak TLS and trust the certificates of this PEM file"`
	Cert    string   `config:"nats-cert" help:"present this certificate, a PEM file"`
	Key     string   `config:"nats-key" help:"the key of that certificate, a PEM file"`
	Monitor []string `config:"nats-monitor" help:"ask at these monitoring URLs, as a list like http://a:8222,http://b:8222, how the NATS servers sync; not needed where the servers may be asked over NATS"`
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

// options are those of every connection, after a look at the files that the settings name.
func (c NATS) options(name string) ([]nats.Option, error) {
	if err := c.check(); err != nil {
		return nil, &SettingsError{err}
	}
	options := []nats.Option{
		nats.Name(name), nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPings), nats.Timeout(connectTimeout),
		nats.SetCustomDialer(fault.Dialer(connectTimeout)), // nil but in tests
		nats.ReconnectBufSize(-1),                          // what is sent while nothing is connected fails, and does not arrive later
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
	return options, nil
}

var natsSchemes = map[string]bool{"nats": true, "tls": true, "ws": true, "wss": true}

// check refuses settings that cannot work, whatever the servers say.
func (c NATS) check() error {
	if len(c.Servers) == 0 {
		return errors.New("--nats names no server; give the URLs of the NATS servers, like nats://a:4222,nats://b:4222")
	}
	for _, text := range c.Servers {
		if u, err := url.Parse(text); strings.Contains(text, "://") && (err != nil || !natsSchemes[u.Scheme]) {
			return errors.New("--nats: the URL of a NATS server begins with nats:// or tls://, like nats://a:4222")
		}
	}
	for _, text := range c.Monitor {
		if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("--nats-monitor: %q is not a URL like http://a:8222", text)
		}
	}
	if c.Creds != "" {
		if err := checkCreds(c.Creds); err != nil {
			return fmt.Errorf("--nats-creds: %w", err)
		}
	}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
			err = fmt.Errorf("the file %s has no certificate in PEM form", c.CA)
		}
		if err != nil {
			return fmt.Errorf("--nats-ca: %w", err)
		}
	}
	if (c.Cert == "") != (c.Key == "") {
		return errors.New("--nats-cert and --nats-key belong together; give both or neither")
	}
	if c.Cert != "" {
		if _, err := tls.LoadX509KeyPair(c.Cert, c.Key); err != nil {
			return fmt.Errorf("--nats-cert and --nats-key: %w", err)
		}
	}
	return nil
}

func checkCreds(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, jwtErr := nkeys.ParseDecoratedJWT(text)
	key, keyErr := nkeys.ParseDecoratedUserNKey(text)
	if jwtErr != nil || keyErr != nil {
		return fmt.Errorf("the file %s is not a credentials file: it has to hold a user's JWT and its key", path)
	}
	key.Wipe()
	return nil
}

// Dial connects at once, for a command that asks and ends. It fails, with a sentence, if no server takes the connection.
func (c NATS) Dial(name string) (*nats.Conn, error) {
	options, err := c.options(name)
	if err != nil {
		return nil, err
	}
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}) // what is not allowed shows in what is missing
	conn, err := nats.Connect(strings.Join(c.Servers, ","), append(options, quiet)...)
	if err != nil {
		return nil, &UnreachableError{err}
	}
	return conn, nil
}

// SettingsError says that nothing was tried, because the settings make no sense.
type SettingsError struct{ error }

func (e *SettingsError) Unwrap() error { return e.error }

// UnreachableError says why no NATS server took a connection, and what to do about it.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return explain(e.Err) }
func (e *UnreachableError) Unwrap() error { return e.Err }

// explain says in one sentence why a connection fails, and what to look at.
func explain(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var remote *net.OpError
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return fmt.Sprintf("NATS refuses the user (%v); check the name and password in the URLs of --nats, or --nats-creds", err)
	case errors.As(err, &unknown):
		return fmt.Sprintf("the certificate of the NATS server is not to be trusted (%v); name the CA that signed it with --nats-ca", err)
	case errors.As(err, &name):
		return fmt.Sprintf("the certificate of the NATS server is for another name (%v); use the name that it has in --nats", err)
	case errors.As(err, &remote) && remote.Op == "remote error":
		return fmt.Sprintf("the NATS server ends the TLS handshake (%v); if it asks for a certificate, give --nats-cert and --nats-key", err)
	case errors.Is(err, nats.ErrSecureConnWanted):
		return fmt.Sprintf("the NATS server does not speak TLS (%v); turn TLS on there, or leave out --nats-ca and --nats-cert", err)
	}
	return fmt.Sprintf("no NATS server can be reached (%v); check that they run, and --nats", err)
}

// processName names this process to people: the program, the machine and the process id.
func processName(program string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s %s %d-%04x", program, host, os.Getpid(), rand.N(1<<16)) // in containers, all of them may be process 1
}

// Logging is the settings of a program's log.
type Logging struct {
	LogFormat string `config:"log-format" default:"auto" help:"auto, text or json; auto is for people on a terminal and text elsewhere"`
	LogLevel  string `config:"log-level" default:"info" help:"debug, info, warn or error"`
}

// keepConnecting connects, and connects again whenever the connection is lost, until the link is closed.
func (c NATS) keepConnecting(name string, log *slog.Logger) (*link, error) {
	options, err := c.options(name)
	if err != nil {
		return nil, err
	}
	l := &link{log: log, again: make(chan struct{}, 1), closed: make(chan struct{})}
	log.Info("connecting to NATS", "servers", len(c.Servers))
	l.Conn, err = nats.Connect(strings.Join(c.Servers, ","), append(options, l.options()...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w; check --nats and its other settings", err)
	}
	go l.complain()
	return l, nil
}
