package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/front"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

// Safety is the setting of the check at the start.
type Safety struct {
	AllowUnsafe bool `config:"allow-unsafe" help:"start although the NATS servers or streams could lose commits that were answered, and only warn of it; for trying things out"`
}

// startCheck looks at the NATS servers and streams before a program begins its work, and again and again after that.
type startCheck struct {
	NATS
	Safety
	leads bool     // the program leads databases, which its user must be allowed to
	only  []string // look at the streams of these databases; empty: of all
	every time.Duration
	log   *slog.Logger

	// Of the goroutine that looks.
	said    string   // what is not known, as it was logged last
	servers []string // what is unsafe of the servers
	streams []string // and of the streams, as of the last look at them

	mu     sync.Mutex
	failed error    // why the program cannot work; nil once it can
	found  []string // what could lose commits, as of the last look
}

const (
	listTimeout    = 2 * time.Second // JetStream may have no leader yet
	inspectTimeout = 5 * time.Second
	inspectAgain   = 500 * time.Millisecond
	lookEvery      = 30 * time.Second // at the servers: one may have started again with other settings
)

// newStartCheck registers the metric of what is found.
func newStartCheck(nats NATS, safety Safety, log *slog.Logger, registry prometheus.Registerer) *startCheck {
	c := &startCheck{NATS: nats, Safety: safety, every: lookEvery, log: log}
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "millpond_unsafe_findings", Help: "What the last look at the NATS servers and streams has found that could lose commits.",
	}, func() float64 { return float64(len(c.unsafe())) }))
	return c
}

func (c *startCheck) unsafe() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.found
}

// amiss returns why the program cannot work on that link; nil if it can.
func (c *startCheck) amiss(l *link) func() error {
	return func() error {
		if err := l.amiss(); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.failed
	}
}

func (c *startCheck) fails(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = why
}

// ready returns what is amiss with the link, or else what the rest says, and what could lose commits unless that is allowed.
func (c *startCheck) ready(l *link, rest front.Ready) front.Ready {
	return func() (missing []string, err error) {
		if err := c.amiss(l)(); err != nil {
			return nil, err
		}
		missing, err = rest()
		if !c.AllowUnsafe {
			for _, sentence := range c.unsafe() {
				missing = append(missing, "UNSAFE: "+sentence)
			}
		}
		return missing, err
	}
}

// await blocks until NATS and JetStream answer, and returns a refusal if what they say is unsafe, or ctx's error when that ends.
func (c *startCheck) await(ctx context.Context, l *link) error {
	js, err := jetstream.New(l.Conn)
	if err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	for said := ""; ; {
		found, err := c.inspect(ctx, l.Conn, js)
		if err != nil {
			err = explainSilence(l, err)
		} else {
			err = c.mayLead(l)
		}
		c.fails(err)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && len(found) > 0 && !c.AllowUnsafe:
			return &unsafeError{found}
		case err == nil:
			c.finds(found)
			return nil
		case l.IsConnected() && err.Error() != said: // a lost connection is logged by the link
			c.log.Warn("cannot work with NATS yet; trying on", "error", err)
			said = err.Error()
		}
		select {
		case <-time.After(inspectAgain):
		case <-ctx.Done():
		}
	}
}

// explainSilence says in one sentence why JetStream does not answer, and what to do.
func explainSilence(l *link, err error) error {
	if denied := l.mayNot("$JS."); denied != nil {
		return fmt.Errorf("this NATS user may not ask JetStream (%w); use that of a kvreader or kvwriter, as deploy/nats/users.conf has them", denied)
	}
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return fmt.Errorf("there is no JetStream (%w); turn it on in the NATS servers, and for the account of this user", err)
	}
	return fmt.Errorf("JetStream does not answer (%w): fewer than half of the NATS servers are up, or they are choosing a leader, which takes seconds", err)
}

// mayLead returns an error if the program leads databases and its user may not: that would be found out only when it is to take
// over. It asks by trying, on subjects that no stream has and nobody listens on.
func (c *startCheck) mayLead(l *link) error {
	if !c.leads {
		return nil
	}
	database := "~" // no database has such a name
	if len(c.only) > 0 {
		database = c.only[0]
	}
	probe := probed + newID().String()
	sub, err := l.SubscribeSync("millpond." + database + ".w.~." + probe)
	if err != nil {
		return fmt.Errorf("try whether the user may lead: %w", err)
	}
	defer sub.Unsubscribe()
	if err := errors.Join(l.Publish("millpond."+database+".log."+probe, nil), l.FlushTimeout(listTimeout)); err != nil {
		return fmt.Errorf("try whether the user may lead: %w", err)
	}
	if err := l.LastError(); errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), probe) {
		return fmt.Errorf("this NATS user may not lead databases (%w); use the writer's user, as deploy/nats/users.conf has it", err)
	}
	return nil
}

// repeat looks again whenever NATS is connected again, since then other servers may be there, and at the servers every now and then,
// since one may have started again with other settings. It logs what is new. It returns when ctx ends.
func (c *startCheck) repeat(ctx context.Context, l *link) {
	js, err := jetstream.New(l.Conn)
	if err != nil {
		return // await has said so
	}
	ticker := time.NewTicker(c.every)
	defer ticker.Stop()
	for {
		select {
		case <-l.again:
			if found, err := c.inspect(ctx, l.Conn, js); err == nil {
				c.finds(found)
				c.fails(c.mayLead(l))
			}
		case <-ticker.C:
			if l.IsConnected() {
				c.finds(append(c.inspectServers(ctx, l.Conn), c.streams...))
			}
		case <-ctx.Done():
			return
		}
	}
}

// finds notes what was found, and logs what is new of it, and when nothing is left.
func (c *startCheck) finds(found []string) {
	before, level := c.unsafe(), slog.LevelError
	if c.AllowUnsafe {
		level = slog.LevelWarn
	}
	for _, sentence := range found {
		if !slices.Contains(before, sentence) {
			c.log.Log(context.Background(), level, "UNSAFE: "+sentence)
		}
	}
	if len(before) > 0 && len(found) == 0 {
		c.log.Info("the NATS servers and streams are safe again")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found = found
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
	c.streams = nil
	for _, name := range names {
		if len(c.only) > 0 && !slices.Contains(c.only, name) {
			continue
		}
		if log, err := natslog.Open(ctx, js, name); err == nil {
			c.streams = append(c.streams, log.Unsafe()...)
		}
	}
	for _, name := range c.only {
		if !slices.Contains(names, name) {
			c.log.Warn("there is no such database yet; it is led once it is made", "database", name, "databases", strings.Join(names, ","))
		}
	}
	return append(c.inspectServers(ctx, conn), c.streams...), nil
}

// inspectServers returns a sentence for each thing of the servers that could lose commits.
func (c *startCheck) inspectServers(ctx context.Context, conn *nats.Conn) (found []string) {
	servers := askServers(ctx, conn, c.Monitor)
	if ctx.Err() != nil {
		return c.unsafe()
	}
	if servers.Unknown != "" && servers.Unknown != c.said {
		c.log.Warn(servers.Unknown)
	}
	c.said = servers.Unknown
	if unsafe := servers.unsafe(); len(unsafe) > 0 || servers.Unknown == "" { // else it may be the one that does not answer
		c.servers = unsafe
	}
	found = slices.Clone(c.servers)
	if sentence := natslog.UnsafePayload(conn.MaxPayload()); sentence != "" {
		found = append(found, sentence)
	}
	return found
}

// unsafeError refuses a start.
type unsafeError struct{ found []string }

func (e *unsafeError) Error() string {
	return "this NATS cluster could lose commits that were answered:\n  - " + strings.Join(e.found, "\n  - ") +
		"\nMend that, or use --allow-unsafe to try things out. docs/operations.md explains each sentence."
}
