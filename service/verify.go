package service

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
)

// Verdict is how the states of one database compare, on all processes that hold it.
type Verdict struct {
	Database string      `json:"database"`
	Position kv.Position `json:"position"` // at which they were compared
	Digests  []Digest    `json:"digests"`  // one for each process, sorted by role and process
	Equal    bool        `json:"equal"`    // all answered, and the same
}

// How a position is chosen. While records keep coming it must be ahead of where the processes are, and not so far that it is
// not reached in digestWait.
const (
	firstAhead    = 50
	mostAhead     = 100_000
	verifyTries   = 12
	statusWait    = 500 * time.Millisecond
	digestAnswers = digestWait + digestTime
)

// Verify compares the states of a database on all processes that answer with their status. It blocks until it has found a
// position at which all of them are compared, or has tried that often; then the verdict of the last try is returned.
func Verify(ctx context.Context, conn *nats.Conn, database string) (v Verdict, err error) {
	ahead := kv.Position(0)
	for range verifyTries {
		processes, err := AskStatus(ctx, conn, statusWait)
		if err != nil {
			return v, err
		}
		holders, end := holding(processes, database)
		if len(holders) == 0 {
			return v, kv.Errorf(kv.ErrNoDatabase, "no process that answers holds the database %q", database)
		}
		v = Verdict{Database: database, Position: end + ahead}
		if v.Digests, err = askDigests(ctx, conn, database, v.Position, holders, digestAnswers); err != nil {
			return v, err
		}
		v.Equal = equal(v.Digests)
		switch {
		case slices.ContainsFunc(v.Digests, func(d Digest) bool { return d.Passed }):
			ahead = min(max(firstAhead, 2*ahead), mostAhead)
		case ahead > 0 && slices.ContainsFunc(v.Digests, func(d Digest) bool { return d.Behind }):
			ahead = 0 // the records have stopped coming
		default:
			return v, nil
		}
	}
	return v, nil
}

// holding returns the statuses of the processes that hold a database, and the highest position that one of them has applied.
func holding(processes []Status, database string) (holders []Status, end kv.Position) {
	for _, p := range processes {
		for _, d := range p.Databases {
			if d.Name == database {
				holders, end = append(holders, p), max(end, d.Position)
			}
		}
	}
	return holders, end
}

// askDigests asks for the digests at a position and returns one answer for each of the processes, in which a missing one is a
// problem. It waits for so long.
func askDigests(ctx context.Context, conn *nats.Conn, database string, at kv.Position, from []Status, wait time.Duration) ([]Digest, error) {
	request, err := json.Marshal(digestRequest{Database: database, Position: at})
	if err != nil {
		return nil, err
	}
	inbox := conn.NewInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("ask for digests: %w", err)
	}
	defer sub.Unsubscribe()
	if err := conn.PublishRequest(digestSubject, inbox, request); err != nil {
		return nil, fmt.Errorf("ask for digests: %w", err)
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var digests []Digest
	missing := slices.Clone(from)
	for len(missing) > 0 {
		m, err := sub.NextMsgWithContext(waiting)
		if err != nil {
			break
		}
		var d Digest
		if err := json.Unmarshal(m.Data, &d); err != nil {
			return nil, fmt.Errorf("a process answers with a digest that cannot be read: %w", err)
		}
		digests = append(digests, d)
		if i := slices.IndexFunc(missing, func(s Status) bool { return s.Process == d.Process }); i >= 0 {
			missing = slices.Delete(missing, i, i+1)
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("ask for digests: %w", ctx.Err())
	}
	for _, s := range missing {
		digests = append(digests, Digest{Process: s.Process, Role: s.Role, Problem: "it did not answer"})
	}
	slices.SortFunc(digests, func(a, b Digest) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Process, b.Process))
	})
	return digests, nil
}

func equal(digests []Digest) bool {
	return !slices.ContainsFunc(digests, func(d Digest) bool { return d.Digest == "" || d.Digest != digests[0].Digest })
}
