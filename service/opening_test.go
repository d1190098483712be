package service

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/prometheus/client_golang/prometheus"
)

// long makes a database whose log takes a while to replay.
func (r *rig) long(name string) {
	r.t.Helper()
	log := r.makeLog(name)
	s, data := events.Seal(1, &events.Record{Kind: events.KindEpoch, Writer: randomID(), Time: 1})
	if _, err := log.Append(r.t.Context(), events.Append{Kind: events.KindEpoch, Data: data}); err != nil {
		r.t.Fatal(err)
	}
	for range 20 {
		commits := make([]events.Commit, 2000)
		for i := range commits {
			commits[i] = events.Commit{ID: randomID(), Effects: []events.Effect{{Key: kv.Key{randomID().String()}.MustEncode(), Value: kv.Value{Encoding: kv.EncodingBytes}}}}
		}
		s, data = events.Seal(s.Position+1, &events.Record{Kind: events.KindCommits, Epoch: 1, Previous: s.Hash, Time: 2, Commits: commits})
		if _, err := log.Append(r.t.Context(), events.Append{Kind: events.KindCommits, Data: data, Last: s.Position - 1, Epoch: 1}); err != nil {
			r.t.Fatal(err)
		}
	}
}

// ended returns a context that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// A database is opened although nobody has the time to wait for it. Those who ask meanwhile hear that.
func TestOpensWithoutThoseWhoAsk(t *testing.T) {
	r := newRig(t)
	r.long("big")
	s := r.databases()
	if _, err := s.find(ended(), "big", false); !kv.SafeToRetry(err) || !strings.Contains(err.Error(), `"big" is being opened`) {
		t.Errorf("at first: %v; want an error that says to try again", err)
	}
	poll(t, "it says how far it is, or is open", func() bool {
		d, err := s.find(ended(), "big", false)
		return d != nil || strings.Contains(err.Error(), "records to go; try again")
	})
	poll(t, "it is open", func() bool {
		_, err := s.find(ended(), "big", false)
		return err == nil
	})
	if n := r.counted("millpond_unserved_databases"); n != 0 {
		t.Errorf("%v databases count as unserved", n)
	}
}

// Close ends a try to open a database, and nothing is opened after that.
func TestCloseEndsOpening(t *testing.T) {
	r := newRig(t)
	r.long("big")
	s := r.databases()
	s.find(ended(), "big", false)
	_, try := s.look("big", false)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if try != nil {
		select {
		case <-try.ended:
		default:
			t.Error("the try has not ended")
		}
	}
	if _, err := s.find(t.Context(), "other", true); !errors.Is(err, errStopping) {
		t.Errorf("after Close: %v; want %v", err, errStopping)
	}
}

// A database that is not there leaves nothing behind, and is made for the next who may make it, also for one who has waited with
// others.
func TestAbsentThenMade(t *testing.T) {
	s := newRig(t).databases()
	if _, err := s.find(t.Context(), "new", false); !errors.Is(err, kv.ErrNoDatabase) {
		t.Errorf("got %v; want ErrNoDatabase", err)
	}
	if len(s.places) != 0 {
		t.Errorf("%d places are left", len(s.places))
	}
	for _, create := range []bool{false, true} {
		if _, err := s.find(ended(), "new", create); !kv.SafeToRetry(err) {
			t.Errorf("create %v: %v; want an error that says to try again", create, err)
		}
	}
	if _, err := s.find(t.Context(), "new", true); err != nil {
		t.Error(err)
	}
}

// A database whose log is damaged keeps a reader from being ready only if there is no other. It is counted and said, and not
// taken for equal.
func TestReadyForTheOthers(t *testing.T) {
	r := newRig(t)
	s := r.databases()
	for _, name := range []string{"default", "orders"} {
		r.find(s, name)
	}
	if err := s.OpenAll(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	s.all()["orders"].broke(errors.New("damaged"))
	if !says(s.Ready, `"orders" is not served: damaged`) {
		unserved, err := s.Ready()
		t.Errorf("got %q, %v; want one sentence", unserved, err)
	}
	if n := r.counted("millpond_unserved_databases"); n != 1 {
		t.Errorf("%v databases are counted, want 1", n)
	}
	v, err := Verify(t.Context(), r.connect(), "orders")
	if err != nil || v.Equal || len(v.Digests) != 1 || v.Digests[0].Problem != "damaged" {
		t.Errorf("verified as %+v, %v; want the reason", v, err)
	}
	s.all()["default"].broke(errors.New("damaged too"))
	if _, err := s.Ready(); err == nil || !strings.Contains(err.Error(), "damaged too") {
		t.Errorf("with no other database: %v; want the reasons", err)
	}
}

// Processes that need not hold a database are named, and do not count.
func TestVerifyNamesTheAbsent(t *testing.T) {
	r := newRig(t)
	r.namedReader("r")
	r.runWriters(WritersConfig{
		AllowUnsafe: true, Only: []string{"other"}, Lease: time.Second, Now: r.clock, NewID: randomID, Process: "w", Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	})
	conn := r.connect()
	poll(t, "both answer", func() bool {
		all, err := AskStatus(t.Context(), conn, statusWait)
		return err == nil && len(all) == 2
	})
	v, err := Verify(t.Context(), conn, "default")
	if err != nil || !v.Equal || len(v.Digests) != 2 || !slices.ContainsFunc(v.Digests, func(d Digest) bool { return d.Process == "w" && d.Absent }) {
		t.Errorf("got %+v, %v; want the writer to be named as absent", v, err)
	}
}

// A log that stops delivering its records does not keep those for ever who wait for its database.
func TestGivesUpOnALogThatIsStuck(t *testing.T) {
	d := newRig(t).reader()
	d.reached(1)
	if err := d.catchUp(t.Context(), time.Millisecond); !errors.Is(err, errStuck) {
		t.Errorf("got %v; want %v", err, errStuck)
	}
	if err := d.catchUp(ended(), time.Minute); err == nil || errors.Is(err, errStuck) {
		t.Errorf("when the process ends: %v; want another error", err)
	}
	d.broke(errors.New("damaged"))
	if err := d.catchUp(t.Context(), time.Minute); err != nil {
		t.Errorf("of a damaged log: %v; want the replica to say that", err)
	}
}
