package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/prometheus/client_golang/prometheus"
)

// namedReader returns the databases of a reader process of that name, with "default" open.
func (r *rig) namedReader(process string) (*Databases, *Database) {
	r.t.Helper()
	s, err := OpenDatabases(r.connect(), Config{
		Create: true, Replicas: 1, AllowUnsafe: true, Process: process, Now: r.clock, NewID: randomID,
		Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { s.Close() })
	d, err := s.find(r.t.Context(), "default", true)
	if err != nil {
		r.t.Fatal(err)
	}
	return s, d
}

// The states of all processes are equal at one position, also while commits keep coming.
func TestVerifyUnderLoad(t *testing.T) {
	r := newRig(t)
	_, a := r.namedReader("a")
	r.namedReader("b")
	r.writers()
	commit := func(i int) error {
		result, err := a.Commit(context.Background(), putting(fmt.Sprint("k", i%100), fmt.Sprint(i)))
		if err == nil && !result.OK() {
			err = errors.New("a check failed")
		}
		return err
	}
	if err := commit(0); err != nil {
		t.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			if err := commit(i); err != nil {
				ended <- err
				return
			}
		}
	}()
	v, err := Verify(t.Context(), r.connect(), "default")
	close(stop)
	if err := errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
	if !v.Equal || len(v.Digests) != 3 || v.Position < 2 {
		t.Errorf("got %+v; want three equal digests at one position", v)
	}
}

// A replica with another state is named, and so is a process that does not answer; a database that nobody holds is an error.
func TestVerifyNoticesDifferences(t *testing.T) {
	r := newRig(t)
	s, a := r.namedReader("a")
	r.namedReader("b")
	r.writers()
	if result, err := a.Commit(t.Context(), putting("k", "v")); err != nil || !result.OK() {
		t.Fatal(result, err)
	}
	conn := r.connect()
	if v, err := Verify(t.Context(), conn, "default"); err != nil || !v.Equal {
		t.Fatalf("before: %+v, %v", v, err)
	}
	if _, err := Verify(t.Context(), conn, "other"); !errors.Is(err, kv.ErrNoDatabase) {
		t.Errorf("a database that is not there: %v; want ErrNoDatabase", err)
	}

	at := a.projection.Chain().Applied
	a.stop()
	a.work.Wait()
	a.projection = tampered(t, at)
	v, err := Verify(t.Context(), conn, "default")
	if err != nil || v.Equal || len(v.Digests) != 3 {
		t.Fatalf("after a replica was tampered with: %+v, %v; want a difference", v, err)
	}
	if other := v.Digests[0]; other.Process != "a" || other.Digest == v.Digests[1].Digest || v.Digests[1].Digest != v.Digests[2].Digest {
		t.Errorf("got %+v; want a to differ from the others", v.Digests)
	}

	stopDigests := s.silence
	stopDigests()
	if s.silence, err = answerStatus(s.conn, slog.New(slog.DiscardHandler), s.status); err != nil {
		t.Fatal(err)
	}
	if err := s.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), digestWait)
	defer cancel()
	processes, err := AskStatus(ctx, conn, statusWait)
	if err != nil || len(processes) != 3 {
		t.Fatal(processes, err)
	}
	digests, err := askDigests(t.Context(), conn, "default", at, processes, digestWait)
	if err != nil || len(digests) != 3 || digests[2].Process != "a" || digests[2].Problem == "" || equal(digests) {
		t.Errorf("got %+v, %v; want a not to have answered", digests, err)
	}
}

// tampered returns a projection at that position with a state of its own.
func tampered(t *testing.T, at kv.Position) *projection.Projection {
	t.Helper()
	p := projection.New(projection.Options{})
	t.Cleanup(func() { p.Close() })
	sealed, _ := events.Seal(1, &events.Record{Kind: events.KindEpoch, Writer: randomID(), Time: 1})
	if err := p.Apply(sealed); err != nil {
		t.Fatal(err)
	}
	for i := kv.Position(2); i <= at; i++ {
		chain := p.Chain()
		record := &events.Record{Kind: events.KindCommits, Epoch: chain.Epoch, Previous: chain.Hash, Time: chain.Time, Commits: []events.Commit{{
			ID: randomID(), Effects: []events.Effect{{Key: kv.Key{"k"}.MustEncode(), Value: kv.Value{Encoding: kv.EncodingBytes, Data: []byte("other")}}},
		}}}
		sealed, _ := events.Seal(i, record)
		if err := p.Apply(sealed); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// Whatever the records' rate, one of the positions that are tried lies between where the processes are when they are asked, and where
// they will have come within digestWait.
func TestVerifyFindsPositionsAtEveryRate(t *testing.T) {
	for _, rate := range []float64{2, 5, 12, 25, 100, 1000, 3000} {
		passed, reached := rate*statusWait.Seconds(), rate*(statusWait+digestWait).Seconds()
		ahead, tries := kv.Position(0), 1
		for ; tries <= verifyTries && (float64(ahead) <= passed || float64(ahead) > reached); tries++ {
			if float64(ahead) <= passed {
				ahead = further(ahead)
			} else {
				ahead /= 4
			}
		}
		if tries > verifyTries {
			t.Errorf("at %v records a second no position is found", rate)
		}
	}
}
