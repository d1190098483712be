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
	open := s.all()
	for _, name := range slices.Sorted(maps.Keys(open)) {
		d := open[name]
		chain := d.projection.Chain()
		status.Databases = append(status.Databases, DatabaseStatus{
			Name: name, Epoch: chain.Epoch, Position: chain.Applied, Lag: d.lag(), Damaged: d.broken() != nil,
		})
	}
	return status
}

func (w *Writers) status() Status {
	status := Status{Process: w.config.Process, Role: RoleWriter}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(w.known)) {
		s := w.known[name]
		chain := s.chain()
		status.Databases = append(status.Databases, DatabaseStatus{
			Name: name, Epoch: chain.Epoch, Position: chain.Applied, Leading: s.leading.Load(), Damaged: s.failure != nil,
		})
	}
	return status
}
