package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Safety is the setting of the check at the start.
type Safety struct {
	AllowUnsafe bool `config:"allow-unsafe" help:"start although the NATS servers or streams could lose commits that were answered, and only warn of it; for trying things out"`
}

// startCheck looks at the NATS servers and streams before a program begins its work.
type startCheck struct {
	NATS
	Safety
	only []string // look at the streams of these databases; empty: of all
	log  *slog.Logger
	said string // what is not known, as it was logged last
}

const (
	listTimeout    = 2 * time.Second // JetStream may have no leader yet
	inspectTimeout = 5 * time.Second
	inspectAgain   = 500 * time.Millisecond
)

// await blocks until NATS and JetStream answer, and returns a refusal if what they say is unsafe. It returns nil when ctx ends.
func (c *startCheck) await(ctx context.Context, l *link) error {
	js, err := jetstream.New(l.Conn)
	if err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	for complained := false; ; {
		found, err := c.inspect(ctx, l.Conn, js)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && len(found) > 0 && !c.AllowUnsafe:
			return &unsafeError{found}
		case err == nil:
			c.warn(found)
			return nil
		case l.IsConnected() && !complained: // a lost connection is logged by the link
			c.log.Warn("JetStream does not answer yet; trying on", "error", err)
			complained = true
		}
		select {
		case <-time.After(inspectAgain):
		case <-ctx.Done():
		}
	}
}

// repeat looks again whenever NATS is connected again, since then other servers may be there, and logs what it finds. It
// returns when ctx ends.
func (c *startCheck) repeat(ctx context.Context, l *link) {
	js, err := jetstream.New(l.Conn)
	if err != nil {
		return // await has said so
	}
	for {
		select {
		case <-l.again:
		case <-ctx.Done():
			return
		}
		if found, err := c.inspect(ctx, l.Conn, js); err == nil {
			c.warn(found)
		}
	}
}

func (c *startCheck) warn(found []string) {
	for _, sentence := range found {
		c.log.Warn("UNSAFE: " + sentence)
	}
}

// inspect returns a sentence for each thing that could lose commits. What cannot be found out now is logged and no such thing;
// a stream that does not answer is looked at when it is opened.
func (c *startCheck) inspect(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (found []string, err error) {
	listing, cancel := context.WithTimeout(ctx, listTimeout)
	names, err := natslog.List(listing, js)
	cancel()
	if err != nil {
		return nil, err
	}
	ctx, cancel = context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	servers := askServers(ctx, conn, c.Monitor)
	if servers.Unknown != "" && servers.Unknown != c.said {
		c.log.Warn(servers.Unknown)
	}
	c.said = servers.Unknown
	found = servers.unsafe()
	if sentence := natslog.UnsafePayload(conn.MaxPayload()); sentence != "" {
		found = append(found, sentence)
	}
	for _, name := range names {
		if len(c.only) > 0 && !slices.Contains(c.only, name) {
			continue
		}
		if log, err := natslog.Open(ctx, js, name); err == nil {
			found = append(found, log.Unsafe()...)
		}
	}
	for _, name := range c.only {
		if !slices.Contains(names, name) {
			c.log.Warn("there is no such database yet; it is led once it is made", "database", name, "databases", strings.Join(names, ","))
		}
	}
	return found, nil
}

// unsafeError refuses a start.
type unsafeError struct{ found []string }

func (e *unsafeError) Error() string {
	return "this NATS cluster could lose commits that were answered:\n  - " + strings.Join(e.found, "\n  - ") +
		"\nMend that, or use --allow-unsafe to try things out. docs/operations.md explains each sentence."
}
