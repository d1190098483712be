package service

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
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
	Equal    bool        `json:"equal"`    // all answered but those that are absent, and the same
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
// position at which all of them are compared, or has tried that often; then the verdict of the last try is returned. Its digests
// name every process, also those that do not hold the database.
func Verify(ctx context.Context, conn *nats.Conn, database string) (v Verdict, err error) {
	ahead := kv.Position(0)
	for range verifyTries {
		processes, err := AskStatus(ctx, conn, statusWait)
		if err != nil {
			return v, err
		}
		holders, others, end := holding(processes, database)
		if len(holders) == 0 && !slices.ContainsFunc(others, func(d Digest) bool { return !d.Absent }) {
			return v, kv.Errorf(kv.ErrNoDatabase, "no process that answers holds the database %q", database)
		}
		v = Verdict{Database: database, Position: end + ahead}
		digests, err := askDigests(ctx, conn, database, v.Position, holders, digestAnswers)
		if err != nil {
			return v, err
		}
		v.Digests = append(digests, others...)
		slices.SortStableFunc(v.Digests, func(a, b Digest) int {
			return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Process, b.Process))
		})
		v.Equal = equal(v.Digests)
		switch {
		case slices.ContainsFunc(v.Digests, func(d Digest) bool { return d.Passed }):
			ahead = further(ahead)
		case ahead > 0 && slices.ContainsFunc(v.Digests, func(d Digest) bool { return d.Behind }):
			ahead /= 4 // the records come slowly, or no more
		default:
			return v, nil
		}
	}
	return v, nil
}

// further returns how far ahead to try after a position that far ahead was passed.
func further(ahead kv.Position) kv.Position {
	if ahead == 0 {
		return firstAhead
	}
	return min(2*ahead, mostAhead)
}

// holding returns the statuses of the processes that hold a database, what is to be said of the others, and the highest position
// that a holder has applied.
func holding(processes []Status, database string) (holders []Status, others []Digest, end kv.Position) {
	for _, p := range processes {
		i := slices.IndexFunc(p.Databases, func(d DatabaseStatus) bool { return d.Name == database })
		switch {
		case i < 0 && p.Role == RoleWriter:
			others = append(others, Digest{Process: p.Process, Role: p.Role, Problem: "it does not stand by for this database", Absent: true})
		case i < 0:
			others = append(others, Digest{Process: p.Process, Role: p.Role, Problem: "nobody has asked it for this database yet", Absent: true})
		case p.Databases[i].Problem != "":
			d := p.Databases[i]
			others = append(others, Digest{Process: p.Process, Role: p.Role, Position: d.Position, Problem: d.Problem})
		default:
			holders, end = append(holders, p), max(end, p.Databases[i].Position)
		}
	}
	return holders, others, end
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
	if err := conn.FlushWithContext(waiting); err != nil { // a server that refuses the request has said so then
		return nil, fmt.Errorf("ask for digests: %w", err)
	}
	if denied := conn.LastError(); errors.Is(denied, nats.ErrPermissionViolation) {
		return nil, kv.Errorf(kv.ErrUnauthorized, "this NATS user may not ask for digests (%v); use that of a kvreader", denied)
	}
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
		if i := slices.IndexFunc(missing, func(s Status) bool { return s.Process == d.Process }); i >= 0 { // and not one whose log is damaged
			digests, missing = append(digests, d), slices.Delete(missing, i, i+1)
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("ask for digests: %w", ctx.Err())
	}
	for _, s := range missing {
		digests = append(digests, Digest{Process: s.Process, Role: s.Role, Problem: "it did not answer"})
	}
	return digests, nil
}

func equal(digests []Digest) bool {
	digests = slices.DeleteFunc(slices.Clone(digests), func(d Digest) bool { return d.Absent })
	return !slices.ContainsFunc(digests, func(d Digest) bool { return d.Digest == "" || d.Digest != digests[0].Digest })
}
