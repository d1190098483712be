package service

import (
	"errors"
	"testing"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/nats-io/nats.go"
)

// asksPast asks for all entries there are, and returns where the parts come in.
func (s *served) asksPast() *nats.Subscription {
	s.t.Helper()
	inbox := s.conn.NewInbox()
	sub, err := s.conn.SubscribeSync(inbox)
	if err != nil {
		s.t.Fatal(err)
	}
	request := wire.History{HistoryRead: kv.HistoryRead{Kind: kv.HistoryEntries, Start: "\x00", End: "\xff"}}
	if err := s.conn.PublishRequest(wire.HistorySubject("default"), inbox, request.Encode()); err != nil {
		s.t.Fatal(err)
	}
	return sub
}

// nextPart returns the next message with a part, or the error that has come.
func (s *served) nextPart(sub *nats.Subscription) (m *nats.Msg, p wire.HistoryPart, err error) {
	s.t.Helper()
	for {
		if m, err = sub.NextMsg(10 * time.Second); err != nil {
			s.t.Fatal(err)
		}
		if p, err = wire.DecodeHistoryPart(m.Data); !p.Alive {
			return m, p, err
		}
	}
}

func (s *served) says(m *nats.Msg, w wire.Watching) {
	s.t.Helper()
	if err := s.conn.Publish(m.Reply, w.Encode()); err != nil {
		s.t.Fatal(err)
	}
}

// awaitNoPasts waits until no answer about the past is left at the reader.
func (s *served) awaitNoPasts() {
	s.t.Helper()
	s.databases.mu.Lock()
	v := s.databases.served
	s.databases.mu.Unlock()
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(5 * time.Millisecond) {
		v.watches.mu.Lock()
		watches := len(v.watches.byKey)
		v.watches.mu.Unlock()
		if len(v.pasts) == 0 && watches == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%d answers and %d watches are left", len(v.pasts), watches)
		}
	}
}

// An answer ends when its client has all of it, leaves, is lost without a word, or holds a part for too long, which it is told.
func TestServedHistoryEnds(t *testing.T) {
	s := newServed(t)
	s.writers()
	if _, err := s.d.Commit(t.Context(), putting("k", "v")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []string{"takes all", "leaves", "is lost", "holds"} {
		t.Run(test, func(t *testing.T) {
			if test == "holds" {
				s.databases.served.held = 50 * time.Millisecond
			}
			sub := s.asksPast()
			m, p, err := s.nextPart(sub)
			if err != nil || p.Number != 1 || p.Last || len(p.Entries) != 1 || string(p.Entries[0].Value.Data) != "v" {
				t.Fatalf("the first part is %+v, %v", p, err)
			}
			switch test {
			case "takes all":
				s.says(m, wire.Watching{Number: 1})
				for p.Number == 1 { // it may have been sent again
					if m, p, err = s.nextPart(sub); err != nil {
						t.Fatal(err)
					}
				}
				if p.Number != 2 || !p.Last || p.Len() > 0 {
					t.Errorf("the last part is %+v", p)
				}
				s.says(m, wire.Watching{Number: 2})
			case "leaves":
				s.says(m, wire.Watching{Number: 1, Leaves: true})
			case "is lost":
				if err := sub.Unsubscribe(); err != nil {
					t.Fatal(err)
				}
			case "holds":
				s.says(m, wire.Watching{Number: 1, Holds: true})
				for err == nil {
					_, _, err = s.nextPart(sub)
				}
				if !errors.Is(err, kv.ErrUnavailable) {
					t.Errorf("%v, want ErrUnavailable", err)
				}
			}
			s.awaitNoPasts()
		})
	}
}

// A moment that is named by a versionstamp which the replica has can be read while nobody leads; any other needs the leader.
func TestHistoryWithoutLeader(t *testing.T) {
	s := newServed(t)
	stop := s.writers()
	result, err := s.d.Commit(t.Context(), putting("k", "v"))
	if err != nil {
		t.Fatal(err)
	}
	stop()
	read := kv.HistoryRead{Kind: kv.HistoryEntries, Start: "\x00", End: "\xff", To: kv.Moment{Versionstamp: result.Versionstamp}}
	h, err := s.d.History(t.Context(), read)
	if err != nil {
		t.Fatal(err)
	}
	if part, err := h.Next(t.Context()); err != nil || len(part.Entries) != 1 {
		t.Errorf("%+v, %v", part, err)
	}
	request := wire.History{HistoryRead: kv.HistoryRead{Kind: kv.HistoryEntries, To: kv.Moment{Time: 1}}}
	if _, err := wire.DecodeHistoryPart(s.request(wire.HistorySubject("default"), request.Encode())); !kv.SafeToRetry(err) {
		t.Errorf("without a leader: %v; want an error that says to try again", err)
	}
}
