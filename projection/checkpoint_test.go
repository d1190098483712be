package projection_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/oklog/ulid/v2"
)

// between calls step each time a checkpoint asks whether it may go on: between any two of its pages.
type between struct {
	context.Context
	step func()
}

func (b between) Err() error { b.step(); return nil }

// A checkpoint that is taken while records are applied between its pages is the state at its position, exactly: whatever
// is overwritten, deleted, added and evicted before and behind the place that it has come to.
func TestCheckpointWhileApplying(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 2))
			h := begin(t)
			for i := range 6 { // enough for several pages
				var effects []events.Effect
				for j := range 500 {
					effects = append(effects, set(key("k", 500*i+j), "first", kv.Millis(random.IntN(3)*(1000+random.IntN(4000)))))
				}
				h.add(1000, commit(effects...))
			}
			now := kv.Millis(1000)
			p := apply(t, h.records, 100)
			step := func() {
				for range 3 {
					now += kv.Millis(random.IntN(200))
					if err := p.Apply(h.add(now, randomCommits(random, now, 3500)...)); err != nil {
						t.Fatal(err)
					}
				}
			}
			for len(h.records) < 150 {
				taken := len(h.records)
				var file bytes.Buffer
				chain, err := p.WriteCheckpoint(between{t.Context(), step}, &file, "id")
				if err != nil || chain.Applied != kv.Position(taken) {
					t.Fatalf("WriteCheckpoint at %d, %v; want %d", chain.Applied, err, taken)
				}
				if got, want := digestOf(t, readBack(t, file.Bytes(), projection.Options{})), digestOf(t, apply(t, h.records[:taken], 100)); got != want {
					t.Fatalf("the checkpoint at %d is %v; want %v", taken, got, want)
				}
			}
			if got, want := digestOf(t, p), digestOf(t, apply(t, h.records, 1)); got != want {
				t.Errorf("in the end: %v; want %v", got, want)
			}
		})
	}
}

// The same with a goroutine that applies as fast as it can, for the race detector.
func TestCheckpointRace(t *testing.T) {
	h := randomHistory(t, 9, 1500, 2000)
	p := newProjection(t, projection.Options{RecentCommits: 50})
	done := make(chan error)
	go func() {
		for _, s := range h.records {
			if err := p.Apply(s); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		var file bytes.Buffer
		chain, err := p.WriteCheckpoint(t.Context(), &file, "id")
		if err != nil {
			t.Fatal(err)
		}
		want := newProjection(t, projection.Options{RecentCommits: 50})
		if err := want.Apply(h.records[:chain.Applied]...); err != nil {
			t.Fatal(err)
		}
		if got, want := digestOf(t, readBack(t, file.Bytes(), projection.Options{})), digestOf(t, want); got != want {
			t.Fatalf("the checkpoint at %d is %v; want %v", chain.Applied, got, want)
		}
	}
}

// A checkpoint that is given up ends with the context's error, and the next one works.
func TestCheckpointGivenUp(t *testing.T) {
	p := apply(t, randomHistory(t, 1, 20, 10).records, 5)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.WriteCheckpoint(ctx, &bytes.Buffer{}, "id"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want context.Canceled", err)
	}
	checkpoint(t, p, projection.Options{})
}

func golden(t *testing.T) (*projection.Projection, []byte) {
	h := begin(t)
	named := func(id byte, effects ...events.Effect) events.Commit {
		c := commit(effects...)
		c.ID[15] = id
		return c
	}
	h.add(1_790_000_000_000, named(1, set(key("users", "alice"), "value", 0), set(key("expired"), "value", 1_790_000_000_000)),
		named(2), named(3, set(key("soon"), "value", 1_790_000_001_000)))
	h.add(1_790_000_000_500, named(4, events.Effect{Key: key("n", 1), Value: kv.Value{Encoding: kv.EncodingLE64, Data: make([]byte, 8)}}))
	p := apply(t, h.records, 10)
	var file bytes.Buffer
	if _, err := p.WriteCheckpoint(t.Context(), &file, "0b7c8f2e-56f7-4d0c-9d5e-3a1f0e7c2b64"); err != nil {
		t.Fatal(err)
	}
	return p, file.Bytes()
}

var writeGolden = flag.Bool("golden", false, "write the golden file of the current format, if it is not there yet")

// A checkpoint keeps the lease of the leader: who takes over from there waits it out.
func TestCheckpointKeepsLease(t *testing.T) {
	p := projection.New(projection.Options{})
	defer p.Close()
	sealed, _ := events.Seal(1, &events.Record{Kind: events.KindEpoch, Writer: ulid.ULID{1}, Time: 1, Lease: 7 * time.Second})
	if err := p.Apply(sealed); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := p.WriteCheckpoint(t.Context(), &file, "an id"); err != nil {
		t.Fatal(err)
	}
	again, _, err := projection.ReadCheckpoint(&file, projection.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got, want := again.Chain(), p.Chain(); got != want || got.Lease != 7*time.Second {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// What an earlier version wrote is read, and the current version writes the same bytes. A golden file is never changed: a
// new format gets a new one.
func TestGolden(t *testing.T) {
	p, written := golden(t)
	file := filepath.Join("testdata", "checkpoint-v1.millpond")
	if *writeGolden {
		if _, err := os.Stat(file); err == nil {
			t.Fatalf("%s is there; a golden file is never written again", file)
		}
		if err := os.WriteFile(file, written, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(written, want) {
		t.Errorf("the checkpoint is\n%q; want\n%q", written, want)
	}
	again, database, err := projection.ReadCheckpoint(bytes.NewReader(want), projection.Options{})
	if err != nil || database != "0b7c8f2e-56f7-4d0c-9d5e-3a1f0e7c2b64" {
		t.Fatalf("ReadCheckpoint: %q, %v", database, err)
	}
	defer again.Close()
	if got, want := digestOf(t, again), digestOf(t, p); got != want {
		t.Errorf("got %v; want %v", got, want)
	}
	same(t, "entries", read(t, again, 0, all), read(t, p, 0, all))
}

// Each flipped bit of a checkpoint is noticed, and each cut.
func TestCheckpointDamage(t *testing.T) {
	_, file := golden(t)
	refused := func(what string, damaged []byte) {
		if p, _, err := projection.ReadCheckpoint(bytes.NewReader(damaged), projection.Options{}); !errors.Is(err, projection.ErrCheckpoint) {
			t.Errorf("%s: %v; want ErrCheckpoint", what, err)
			if err == nil {
				p.Close()
			}
		}
	}
	for bit := range len(file) * 8 {
		damaged := bytes.Clone(file)
		damaged[bit/8] ^= 1 << (bit % 8)
		refused(fmt.Sprintf("bit %d flipped", bit), damaged)
	}
	for n := range file {
		refused(fmt.Sprintf("cut to %d bytes", n), file[:n])
	}
}

// reseal gives each block in data the right checksum, so that what is inside is looked at.
func reseal(data []byte) []byte {
	data = bytes.Clone(data)
	for at := len("millpond checkpoint 1\n"); at+9 <= len(data); {
		size := int(binary.BigEndian.Uint32(data[at+1:]))
		end := at + 5 + size
		if end+4 > len(data) {
			break
		}
		binary.BigEndian.PutUint32(data[end:], crc32.Checksum(data[at:end], crc32.MakeTable(crc32.Castagnoli)))
		at = end + 4
	}
	return data
}

// Whatever the bytes, reading a checkpoint ends with a projection that can be read and written, or with ErrCheckpoint.
func FuzzReadCheckpoint(f *testing.F) {
	file, err := os.ReadFile(filepath.Join("testdata", "checkpoint-v1.millpond"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, _, err := projection.ReadCheckpoint(bytes.NewReader(reseal(data)), projection.Options{})
		if err != nil {
			if !errors.Is(err, projection.ErrCheckpoint) {
				t.Errorf("got %v; want ErrCheckpoint", err)
			}
			return
		}
		defer p.Close()
		read(t, p, 0, all)
		digestOf(t, p)
	})
}
