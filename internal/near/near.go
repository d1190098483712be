// Package near keeps a connection to the very NATS server that somebody else is connected to: a request that need not pass
// from server to server is answered in half the time.
package near

import (
	"net/url"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// lookAgain is the pause before the servers are looked through again for one that was not among them.
const lookAgain = 10 * time.Second

// Conn is a connection, and a second one while that is nearer.
type Conn struct {
	main *nats.Conn

	mu     sync.Mutex
	wanted string     // the name of the server
	second *nats.Conn // to the wanted server; nil: not connected
	look   time.Time  // not to be looked for before
	work   sync.WaitGroup
	closed bool
}

// New returns a Conn that is main for now. Close does not close main.
func New(main *nats.Conn) *Conn { return &Conn{main: main} }

// Best returns the connection to use: to the wanted server, if there is one by now.
func (c *Conn) Best() *nats.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.second != nil && c.second.IsConnected() {
		return c.second
	}
	return c.main
}

// Want says which server would be best, by its name. It does not block: a connection is made meanwhile.
func (c *Conn) Want(server string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	lost := c.second == nil || !c.second.IsConnected()
	if server != c.wanted {
		c.wanted, c.look, lost = server, time.Time{}, true
	}
	if !lost || c.closed || server == "" || time.Now().Before(c.look) {
		return
	}
	c.forget()
	if server == c.main.ConnectedServerName() {
		return
	}
	c.look = time.Now().Add(lookAgain)
	c.work.Go(func() { c.find(server) })
}

func (c *Conn) forget() {
	if c.second != nil {
		c.second.Close()
		c.second = nil
	}
}

// find goes through the servers that main knows, until it meets the one of that name.
func (c *Conn) find(server string) {
	for _, candidate := range c.main.Servers() {
		conn := c.dial(candidate)
		if conn == nil {
			continue
		}
		if conn.ConnectedServerName() == server && c.keep(conn, server) {
			return
		}
		conn.Close()
	}
}

func (c *Conn) dial(server string) *nats.Conn {
	o := c.main.Opts
	if current, err := url.Parse(c.main.ConnectedUrl()); err == nil && o.User == "" && o.Token == "" { // who this is may be said there only
		o.User = current.User.Username()
		if o.Password, _ = current.User.Password(); o.Password == "" {
			o.User, o.Token = "", o.User
		}
	}
	o.Url, o.Servers, o.NoRandomize, o.AllowReconnect, o.RetryOnFailedConnect, o.IgnoreDiscoveredServers = server, nil, true, false, false, true
	o.ConnectedCB, o.DisconnectedErrCB, o.ReconnectedCB, o.ClosedCB, o.DiscoveredServersCB = nil, nil, nil, nil, nil
	conn, err := o.Connect()
	if err != nil {
		return nil // main says what is wrong with the servers
	}
	return conn
}

// keep reports whether the connection is still wanted.
func (c *Conn) keep(conn *nats.Conn, server string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.wanted != server || c.second != nil {
		return false
	}
	c.second = conn
	return true
}

// Close closes the second connection.
func (c *Conn) Close() {
	c.mu.Lock()
	c.closed = true
	c.forget()
	c.mu.Unlock()
	c.work.Wait()
}
