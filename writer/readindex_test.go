package writer_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/writer"
)

// A leader that resigns gives no read index from its lease: the next one leads as soon as it has read the resignation, and
// that may be long before the ack of it comes.
func TestResigningGivesNoIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log, acked := &events.MemoryLog{}, make(chan struct{})
		slow := &faultyLog{Log: log}
		slow.onAppend = func(ctx context.Context, a events.Append) (kv.Position, error) {
			p, err := log.Append(ctx, a)
			if a.Kind == events.KindEpoch && a.Last > 0 {
				<-acked
			}
			return p, err
		}
		old := startWith(t, slow, func(c *writer.Config) { c.Exclusive, c.Lease = false, time.Minute }, projection.Options{})
		old.mustCommit(set(key("k"), "old"))
		old.Close()
		synctest.Wait() // the resignation is in the log
		standby(t, log).mustCommit(set(key("k"), "young"))
		if index, err := old.ReadIndex(t.Context()); !errors.Is(err, kv.ErrUnavailable) {
			t.Errorf("the leader that resigns answered %+v, %v; want ErrUnavailable", index, err)
		}
		close(acked)
	})
}

// A read index that a record has proved is of that record's time: by the time that the ack is seen, another leader may
// have decided by an entry that has expired since.
func TestIndexIsOfItsProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log := &events.MemoryLog{}
		slow := &faultyLog{Log: log}
		slow.onAppend = func(ctx context.Context, a events.Append) (kv.Position, error) {
			defer time.Sleep(time.Second)
			return log.Append(ctx, a)
		}
		r := startWith(t, slow, func(c *writer.Config) {
			c.Exclusive = false
			c.Now = func() kv.Millis { return kv.MillisOf(time.Now()) }
		}, projection.Options{})
		<-r.Begun()
		want := kv.MillisOf(time.Now())
		index, err := r.ReadIndex(t.Context())
		if err != nil || index.Now != want {
			t.Errorf("got %v, %v; want the time of the record at %d, %v", index.Now, err, index.Position, want)
		}
	})
}

// What strong reads have hidden stays hidden under the next leader, though its clock is behind: its log time begins where the
// lease of the one before ended. After a resignation there is nothing to fear.
func TestNextLeaderBeginsAfterTheLease(t *testing.T) {
	const lease = time.Second
	for name, resigned := range map[string]bool{"lost": false, "resigned": true} {
		t.Run(name, func(t *testing.T) {
			log := &events.MemoryLog{}
			led := func(c *writer.Config) { c.Exclusive, c.Lease = false, lease }
			old := startWith(t, log, led, projection.Options{})
			old.now.Store(50_000)
			old.mustCommit(set(key("k"), "old"))
			last := old.projection.Chain().Time
			if resigned {
				old.stop()
			} else {
				old.kill()
			}
			young := startWith(t, log, led, projection.Options{}) // its clock says 0
			<-young.Begun()
			want := last
			if !resigned {
				want += kv.Millis(lease.Milliseconds())
			}
			if got := young.projection.Chain().Time; got != want {
				t.Errorf("the next epoch begins at %d, want %d", got, want)
			}
		})
	}
}

// The lease proves nothing for a time beyond its end by the clock that entries expire by, should that clock jump.
func TestIndexAfterAJump(t *testing.T) {
	log := &events.MemoryLog{}
	r := startWith(t, log, func(c *writer.Config) { c.Exclusive, c.Lease = false, time.Hour }, projection.Options{})
	r.mustCommit(set(key("k"), "v"))
	before := r.projection.Chain().Applied
	for _, step := range []struct {
		now  kv.Millis
		want kv.Position // of the index
	}{
		{kv.Millis(time.Hour.Milliseconds()), before},
		{kv.Millis(2 * time.Hour.Milliseconds()), before + 1}, // it takes a record
	} {
		r.now.Store(int64(step.now))
		index, err := r.ReadIndex(t.Context())
		if err != nil || index.Position != step.want || index.Now != step.now {
			t.Errorf("at %d: %+v, %v; want position %d of that time", step.now, index, err, step.want)
		}
	}
}
