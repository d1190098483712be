package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/recovery"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
)

const restoredEntries = 1_000_000 // of 16-byte keys and 110-byte values

// measureRestore measures what a restore into a cluster takes, and a branch of what was restored.
func measureRestore(ctx context.Context, out io.Writer, dir string) error {
	return withCluster(ctx, dir, func(ctx context.Context, c *benchedCluster) error {
		archive, binary := filepath.Join(c.dir, "archive"), filepath.Join(c.dir, "millpond")
		if err := makeArchive(ctx, archive); err != nil {
			return err
		}
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/millpond").CombinedOutput(); err != nil {
			return fmt.Errorf("build millpond: %w\n%s", err, out)
		}
		fmt.Fprintf(out, "\nA cluster on this machine, a database of %d entries\n\n", restoredEntries)
		for _, command := range [][]string{{"restore", archive, "--db", "bench"}, {"branch", "bench", "branch"}} {
			began := time.Now()
			printed, err := exec.CommandContext(ctx, binary, append(command, "--nats", strings.Join(c.servers, ","))...).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%v: %w\n%s", command, err, printed)
			}
			fmt.Fprintf(out, "%s: %v; wanted under 30s\n", command[0], time.Since(began).Round(10*time.Millisecond))
		}
		return nil
	})
}

// made is a database of which there is only a state.
type made struct{ *projection.Projection }

func (made) ID() string { return "b0000000-0000-4000-8000-000000000001" }

func (m made) Bounds(context.Context) (first, last kv.Position, err error) {
	return 1, m.Applied(), nil
}

func (made) Read(context.Context, kv.Position) (events.Reader, error) {
	return nil, errors.New("there is no log")
}

func (m made) WriteCheckpoint(ctx context.Context, w io.Writer) (events.Chain, error) {
	return m.Projection.WriteCheckpoint(ctx, w, m.ID())
}

func makeArchive(ctx context.Context, location string) error {
	p := projection.New(projection.Options{})
	defer p.Close()
	id := recovery.NewID()
	if err := addRecord(p, &events.Record{Kind: events.KindEpoch, Writer: id()}); err != nil {
		return err
	}
	const perRecord = 100
	for i := 0; i < restoredEntries; i += perRecord {
		r := &events.Record{Kind: events.KindCommits}
		for j := i; j < i+perRecord; j++ {
			r.Commits = append(r.Commits, events.Commit{ID: id(), Effects: []events.Effect{entry(j)}})
		}
		if err := addRecord(p, r); err != nil {
			return err
		}
	}
	_, err := backup.Open(backup.Config{Blob: backup.NewDirectory(location), Database: "bench", Now: time.Now, NewID: id}).Create(ctx, made{p})
	return err
}

func addRecord(p *projection.Projection, r *events.Record) error {
	chain := p.Chain()
	r.Epoch, r.Previous, r.Time = chain.Epoch, chain.Hash, kv.MillisOf(time.Now())
	sealed, _ := events.Seal(chain.Applied+1, r)
	return p.Apply(sealed)
}

// entry returns the entry i: a key of 16 bytes, and a value of 110 that looks like JSON.
func entry(i int) events.Effect {
	key := binary.BigEndian.AppendUint64([]byte("\x02user\x00\x21"), uint64(i)|1<<63)
	text := fmt.Sprintf(`{"id":%d,"name":"user %d","active":%v,"balance":%d,"tags":["a","b"],"created":"2026-01-`, i, i, i%3 == 0, rand.IntN(100_000))
	value := []byte(text)
	for len(value) < 110 {
		value = append(value, '0'+byte(rand.IntN(10)))
	}
	return events.Effect{Key: kv.EncodedKey(append(key, 0)), Value: kv.Value{Encoding: kv.EncodingV8, Data: value[:110]}}
}
