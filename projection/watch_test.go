package projection_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
)

func wallClock() kv.Millis { return kv.MillisOf(time.Now()) }

// watching is a projection in a bubble of synctest, whose time the log follows.
type watching struct {
	*history
	p *projection.Projection
}

func inBubble(t *testing.T, test func(*watching)) {
	synctest.Test(t, func(t *testing.T) {
		w := &watching{begin(t), projection.New(projection.Options{})}
		if err := w.p.Apply(w.records...); err != nil {
			t.Fatal(err)
		}
		w.t = t
		test(w)
		w.p.Close()
		time.Sleep(2 * time.Second) // BuntDB's own goroutine looks once a second whether it may end
	})
}

// values returns what a watch shows next, as text; "-" for an absent key.
func values(t *testing.T, watch *projection.Watch) (list []string) {
	t.Helper()
	entries, err := watch.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Exists() {
			list = append(list, string(e.Value.Data))
		} else {
			list = append(list, "-")
		}
	}
	return list
}

// shows fails unless the watch shows those values at once.
func shows(t *testing.T, watch *projection.Watch, want ...string) {
	t.Helper()
	began := time.Now()
	if got := values(t, watch); fmt.Sprint(got) != fmt.Sprint(want) || !time.Now().Equal(began) {
		t.Errorf("after %v: %v; want %v at once", time.Since(began), got, want)
	}
}

// silent fails unless the watch has nothing to show for an hour.
func silent(t *testing.T, watch *projection.Watch) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if entries, err := watch.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, %v; want nothing", entries, err)
	}
}

// A watch shows first what there is, then each change of one of its keys, from one snapshot; changes that nobody has taken
// become one. The delete of an absent key is a change; those of other keys are none.
func TestWatch(t *testing.T) {
	inBubble(t, func(w *watching) {
		apply := func(now kv.Millis, s ...string) {
			for i := 0; i < len(s); i += 2 {
				e := set(key(s[i]), s[i+1], 0)
				if s[i+1] == "" {
					e = del(key(s[i]))
				}
				if err := w.p.Apply(w.add(now, commit(e))); err != nil {
					w.t.Fatal(err)
				}
			}
		}
		apply(1, "a", "1")
		watch := w.p.Watch([]kv.EncodedKey{key("b"), key("a")}, wallClock)
		defer watch.Close()
		shows(w.t, watch, "-", "1")
		silent(w.t, watch)
		apply(2, "a", "2", "b", "3", "a", "4")
		shows(w.t, watch, "3", "4")
		silent(w.t, watch)
		apply(3, "other", "5", "aa", "6")
		silent(w.t, watch)
		apply(4, "b", "")
		shows(w.t, watch, "-", "4")
		apply(5, "b", "")
		shows(w.t, watch, "-", "4")
		apply(6, "a", "4") // the same value, another versionstamp
		shows(w.t, watch, "-", "4")
		watch.Close()
		apply(7, "a", "7")
		silent(w.t, watch)
	})
}

// A watch tells of an expiry when it comes by the reader's clock, though the log says nothing; of the next one then; and
// of one by log time when that is earlier.
func TestWatchExpiry(t *testing.T) {
	inBubble(t, func(w *watching) {
		began := wallClock()
		w.p.Apply(w.add(began, commit(set(key("a"), "a", began+1000), set(key("b"), "b", began+5000), set(key("c"), "c", began+9000))))
		watch := w.p.Watch([]kv.EncodedKey{key("a"), key("b"), key("c")}, wallClock)
		defer watch.Close()
		shows(w.t, watch, "a", "b", "c")
		for _, want := range []struct {
			after time.Duration
			show  string
		}{{time.Second, "[- b c]"}, {4 * time.Second, "[- - c]"}} {
			began := time.Now()
			if got := fmt.Sprint(values(w.t, watch)); got != want.show || time.Since(began) != want.after {
				w.t.Errorf("after %v: %v; want %v after %v", time.Since(began), got, want.show, want.after)
			}
		}
		w.p.Apply(w.add(began + 9000))
		shows(w.t, watch, "-", "-", "-")
		silent(w.t, watch)
	})
}

// An expiry in a thousand years does not come early, whatever a timer can hold.
func TestWatchFarExpiry(t *testing.T) {
	inBubble(t, func(w *watching) {
		for _, years := range []kv.Millis{150, 293, 400, 600, 1000, 100_000} {
			w.p.Apply(w.add(wallClock(), commit(set(key("a"), "a", wallClock()+years*365*24*3_600_000))))
			watch := w.p.Watch([]kv.EncodedKey{key("a")}, wallClock)
			shows(w.t, watch, "a")
			silent(w.t, watch)
			watch.Close()
		}
	})
}

// What a watch has told to have expired does not come back with the next change, even if the clock does not follow.
func TestWatchClockStandsStill(t *testing.T) {
	inBubble(t, func(w *watching) {
		still := wallClock()
		w.p.Apply(w.add(still, commit(set(key("a"), "a", still+1000))))
		watch := w.p.Watch([]kv.EncodedKey{key("a"), key("b")}, func() kv.Millis { return still })
		defer watch.Close()
		shows(w.t, watch, "a", "-")
		if got := fmt.Sprint(values(w.t, watch)); got != "[- -]" {
			w.t.Errorf("got %v; want the expiry", got)
		}
		w.p.Apply(w.add(still, commit(set(key("b"), "b", 0))))
		shows(w.t, watch, "-", "b")
	})
}

// After Close of the projection a watch fails, and so does a read.
func TestClosed(t *testing.T) {
	p := projection.New(projection.Options{})
	watch := p.Watch([]kv.EncodedKey{key("a")}, wallClock)
	defer watch.Close()
	p.Close()
	if _, err := watch.Next(t.Context()); !errors.Is(err, projection.ErrClosed) {
		t.Errorf("Next: %v; want ErrClosed", err)
	}
	if s, err := p.Read([]kv.Range{all}, 0); !errors.Is(err, projection.ErrClosed) {
		t.Errorf("Read: %v, %v; want ErrClosed", s, err)
	}
}

// No change is lost: while watches come and go amid changes, each sees the last one in the end, and never an older value
// after a newer.
func TestWatchLosesNothing(t *testing.T) {
	h := begin(t)
	p := newProjection(t, projection.Options{})
	keys := []kv.EncodedKey{key("a"), key("b"), key("c")}
	const last = 3000
	for i := range last + 1 {
		h.add(1, commit(set(keys[i%3], fmt.Sprint(i), 0), set(key("all"), fmt.Sprint(i), 0)))
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, s := range h.records {
			if err := p.Apply(s); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 16 {
		random := rand.New(rand.NewPCG(uint64(i), 4))
		wg.Go(func() {
			for seen := -1; seen < last; {
				watch := p.Watch([]kv.EncodedKey{keys[i%3], key("all")}, func() kv.Millis { return 1 })
				for range 1 + random.IntN(50) {
					entries, err := watch.Next(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					now := -1
					fmt.Sscan(string(entries[1].Value.Data), &now)
					if now < seen {
						t.Errorf("saw %d after %d", now, seen)
					}
					if seen = now; seen == last {
						break
					}
				}
				watch.Close()
			}
		})
	}
	wg.Wait()
}

// A thousand idle watches have no goroutine, and none of them looks at the clock until its expiry is due.
func TestIdleWatches(t *testing.T) {
	inBubble(t, func(w *watching) {
		expiry := wallClock() + 3_600_000
		w.p.Apply(w.add(wallClock(), commit(set(key("a"), "a", expiry))))
		var asked atomic.Int64
		clock := func() kv.Millis { asked.Add(1); return wallClock() }
		before := runtime.NumGoroutine()
		var watches []*projection.Watch
		for range 1000 {
			watches = append(watches, w.p.Watch([]kv.EncodedKey{key("a"), key("b")}, clock))
		}
		if n := runtime.NumGoroutine(); n > before {
			w.t.Errorf("%d more goroutines; want none", n-before)
		}
		ctx, cancel := context.WithTimeout(w.t.Context(), 50*time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for _, watch := range watches {
			shows(w.t, watch, "a", "-")
			wg.Go(func() {
				if _, err := watch.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
					w.t.Errorf("Next: %v; want to wait", err)
				}
				watch.Close()
			})
		}
		wg.Wait()
		if n := asked.Load(); n > 3000 {
			w.t.Errorf("the clock was asked %d times; want a few times a watch", n)
		}
	})
}
