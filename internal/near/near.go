// Package near has connections to the very NATS servers that others are connected to: a request that need not pass from server
// to server is answered in half the time.
package near

import (
	"net/url"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// lookAgain is the pause before the servers are looked through again for one that was not among them, or was lost.
const lookAgain = 10 * time.Second

// Pool is a connection, and others to the servers that were asked for. A process has one.
type Pool struct {
	main *nats.Conn

	mu     sync.Mutex
	others map[string]*other // by the name of the server
	closed bool
	work   sync.WaitGroup
}

// other is a connection to one server.
type other struct {
	conn *nats.Conn // nil: there was none yet
	look time.Time  // not to be looked for before
}

// NewPool returns the pool of main. Close does not close main.
func NewPool(main *nats.Conn) *Pool { return &Pool{main: main, others: map[string]*other{}} }

// Main returns the connection that the pool was made of.
func (p *Pool) Main() *nats.Conn { return p.main }

// To returns the best connection for what is to reach the server of that name: one to it, if there is, and otherwise main. It
// does not block: a connection that is not there is made meanwhile, for later calls.
func (p *Pool) To(server string) *nats.Conn {
	if server == "" || server == p.main.ConnectedServerName() {
		return p.main
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.others[server]
	if o == nil {
		o = &other{}
		p.others[server] = o
	}
	if o.conn != nil && o.conn.IsConnected() {
		return o.conn
	}
	if now := time.Now(); !p.closed && !now.Before(o.look) {
		o.look = now.Add(lookAgain)
		p.work.Go(func() { p.find(server) })
	}
	return p.main
}

// find goes through the servers that main knows, until it meets the one of that name.
func (p *Pool) find(server string) {
	for _, candidate := range p.main.Servers() {
		conn := p.dial(candidate)
		if conn == nil {
			continue
		}
		if conn.ConnectedServerName() == server && p.keep(conn, server) {
			return
		}
		conn.Close()
	}
}

func (p *Pool) dial(candidate string) *nats.Conn {
	o := p.main.Opts
	if current, err := url.Parse(p.main.ConnectedUrl()); err == nil && o.User == "" && o.Token == "" { // who this is may be said there only
		o.User = current.User.Username()
		if o.Password, _ = current.User.Password(); o.Password == "" {
			o.User, o.Token = "", o.User
		}
	}
	o.Url, o.Servers, o.NoRandomize, o.AllowReconnect, o.RetryOnFailedConnect, o.IgnoreDiscoveredServers = candidate, nil, true, false, false, true
	o.ConnectedCB, o.DisconnectedErrCB, o.ReconnectedCB, o.ClosedCB, o.DiscoveredServersCB = nil, nil, nil, nil, nil
	conn, err := o.Connect()
	if err != nil {
		return nil // main says what is wrong with the servers
	}
	return conn
}

// keep reports whether the connection may be kept, in place of one that is lost.
func (p *Pool) keep(conn *nats.Conn, server string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	o := p.others[server]
	if o.conn != nil {
		o.conn.Close()
	}
	o.conn = conn
	return true
}

// Close closes all connections but main. It waits until none is made any more.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	for _, o := range p.others {
		if o.conn != nil {
			o.conn.Close()
		}
	}
	p.mu.Unlock()
	p.work.Wait()
}
