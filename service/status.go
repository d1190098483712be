package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
)

const statusSubject = "millpond.status"

// Status is what a process says of itself.
type Status struct {
	Process   string           `json:"process"`
	Role      string           `json:"role"` // reader or writer
	Databases []DatabaseStatus `json:"databases"`
}

// DatabaseStatus is what a process says of one database.
type DatabaseStatus struct {
	Name     string      `json:"name"`
	Epoch    kv.Position `json:"epoch"`
	Position kv.Position `json:"position"` // the last that it has applied
	Lag      uint64      `json:"lag"`      // of a reader, in records
	Leading  bool        `json:"leading"`  // of a writer
	Damaged  bool        `json:"damaged"`  // the log cannot be read on

	// Problem is why a reader does not serve it, or a writer does not stand by for it; empty if it does.
	Problem string `json:"problem,omitempty"`
}

// The roles of processes.
const (
	RoleReader = "reader"
	RoleWriter = "writer"
)

// answerQuestions answers what is asked of every process until stop is called.
func answerQuestions(conn *nats.Conn, log *slog.Logger, status func() Status, digests *digester) (stop func(), err error) {
	stopStatus, err := answerStatus(conn, log, status)
	if err != nil {
		return nil, err
	}
	stopDigests, err := digests.answer(conn)
	if err != nil {
		stopStatus()
		return nil, err
	}
	return func() { stopStatus(); stopDigests() }, nil
}

// answerStatus answers every request for the status of a process until stop is called.
func answerStatus(conn *nats.Conn, log *slog.Logger, status func() Status) (stop func(), err error) {
	sub, err := conn.Subscribe(statusSubject, func(m *nats.Msg) {
		text, err := json.Marshal(status())
		if err == nil {
			err = m.Respond(text)
		}
		if err != nil {
			log.Debug("could not answer a request for the status", "error", err)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("listen for requests for the status: %w", err)
	}
	return func() { sub.Unsubscribe() }, nil
}

// AskStatus asks every process of a cluster, and returns the answers that came within wait, sorted by role and process.
func AskStatus(ctx context.Context, conn *nats.Conn, wait time.Duration) ([]Status, error) {
	inbox := conn.NewInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("ask for the status: %w", err)
	}
	defer sub.Unsubscribe()
	if err := conn.PublishRequest(statusSubject, inbox, nil); err != nil {
		return nil, fmt.Errorf("ask for the status: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var all []Status
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if errors.Is(err, nats.ErrNoResponders) || ctx.Err() != nil {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("ask for the status: %w", err)
		}
		var s Status
		if err := json.Unmarshal(m.Data, &s); err != nil {
			return nil, fmt.Errorf("a process answers with a status that cannot be read: %w", err)
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.Role+" "+a.Process, b.Role+" "+b.Process) })
	return all, nil
}

func (s *Databases) status() Status {
	status := Status{Process: s.config.Process, Role: RoleReader}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(s.places)) {
		status.Databases = append(status.Databases, s.places[name].status(name))
	}
	return status
}

func (p *place) status(name string) DatabaseStatus {
	status := DatabaseStatus{Name: name}
	d := p.open
	if d == nil {
		status.Problem = p.problem()
		if p.try != nil {
			d = p.try.following.Load()
		}
	}
	if d == nil {
		return status
	}
	chain := d.projection.Chain()
	status.Epoch, status.Position, status.Lag = chain.Epoch, chain.Applied, d.lag()
	if err := d.broken(); err != nil {
		status.Damaged, status.Problem = true, err.Error()
	}
	return status
}

// problem says why the database is not open.
func (p *place) problem() string {
	switch {
	case p.failed != nil:
		return p.failed.Error()
	case p.try != nil:
		return "it is being opened"
	}
	return "it has not been opened yet"
}

func (w *Writers) status() Status {
	status := Status{Process: w.config.Process, Role: RoleWriter}
	w.mu.Lock()
	defer w.mu.Unlock()
	amiss := w.unserved()
	names := slices.Concat(slices.Collect(maps.Keys(w.known)), slices.Collect(maps.Keys(amiss)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		d := DatabaseStatus{Name: name}
		if err := amiss[name]; err != nil {
			d.Problem = err.Error()
		}
		if b := w.broken[name]; b != nil {
			d.Position, d.Damaged = b.at, true
		} else if s := w.known[name]; s != nil {
			chain := s.chain()
			if d.Problem == "" && s.projection.Load() == nil {
				d.Problem = "it is being opened"
			}
			d.Epoch, d.Position, d.Leading = chain.Epoch, chain.Applied, s.leading.Load()
		}
		status.Databases = append(status.Databases, d)
	}
	return status
}
