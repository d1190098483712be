package service

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/nats-io/nats.go"
)

const digestSubject = "millpond.digest"

// digestRequest asks every process that holds a database for the digest of its state at a position.
type digestRequest struct {
	Database string      `json:"database"`
	Position kv.Position `json:"position"`
}

// Digest is what a process answers when it is asked for the digest of its state at a position.
type Digest struct {
	Process  string      `json:"process"`
	Role     string      `json:"role"`
	Position kv.Position `json:"position"` // of the digest; without one, where the process is
	Digest   string      `json:"digest,omitempty"`
	Problem  string      `json:"problem,omitempty"` // why there is no digest
	Passed   bool        `json:"passed,omitempty"`  // because the process was past the position already
	Behind   bool        `json:"behind,omitempty"`  // because it did not reach it in time
}

const (
	digestWait = 2 * time.Second // for a process to reach the position that it is asked about
	digestTime = time.Minute     // for computing a digest: of some ten million entries
)

var (
	errPassed = errors.New("the state is past that position already")
	errBehind = errors.New("the state did not reach that position in time")
)

// digestAt waits for a projection to reach a position and returns the digest of its state there. It fails with errPassed and
// errBehind.
func digestAt(ctx context.Context, p *projection.Projection, at kv.Position) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(digestWait, func() {
		if p.Chain().Applied < at {
			cancel(errBehind)
		}
	})
	defer late.Stop()
	digest, err := p.DigestAt(ctx, at)
	switch {
	case errors.Is(err, projection.ErrPassed):
		err = errPassed
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return hex.EncodeToString(digest[:]), err
}

// digester answers requests for digests, one at a time: each takes a pass over the whole state.
type digester struct {
	process, role string
	find          func(database string) *projection.Projection // nil if it is not here
	log           *slog.Logger
	busy          sync.Mutex
}

// answer answers until stop is called.
func (d *digester) answer(conn *nats.Conn) (stop func(), err error) {
	sub, err := conn.Subscribe(digestSubject, func(m *nats.Msg) { go d.respond(m) })
	if err != nil {
		return nil, fmt.Errorf("listen for requests for digests: %w", err)
	}
	return func() { sub.Unsubscribe() }, nil
}

func (d *digester) respond(m *nats.Msg) {
	var request digestRequest
	if err := json.Unmarshal(m.Data, &request); err != nil {
		d.log.Warn("refused a request for a digest", "error", err)
		return
	}
	p := d.find(request.Database)
	if p == nil { // others have it
		return
	}
	text, err := json.Marshal(d.digest(p, request.Position))
	if err == nil {
		err = m.Respond(text)
	}
	if err != nil {
		d.log.Debug("could not answer a request for a digest", "error", err)
	}
}

func (d *digester) digest(p *projection.Projection, at kv.Position) Digest {
	reply := Digest{Process: d.process, Role: d.role, Position: p.Chain().Applied}
	if !d.busy.TryLock() {
		reply.Problem = "it is computing another digest"
		return reply
	}
	defer d.busy.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), digestTime)
	defer cancel()
	digest, err := digestAt(ctx, p, at)
	if err != nil {
		reply.Position = p.Chain().Applied
		reply.Problem, reply.Passed, reply.Behind = err.Error(), errors.Is(err, errPassed), errors.Is(err, errBehind)
		return reply
	}
	reply.Position, reply.Digest = at, digest
	return reply
}
