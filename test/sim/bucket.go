package sim

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
)

// kept is a checkpoint that every process finds.
type kept struct {
	at   kv.Position
	file []byte
}

// keptCheckpoints is how many there are of the newest: readers fall back when one is damaged.
const keptCheckpoints = 3

// keep puts a writer's checkpoint into the bucket, deletes old ones, and trims the log behind the oldest. The writer may have been
// replaced long ago.
func (w *World) keep(at kv.Position, file []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.breaks.Trim {
		w.bucket = append(w.bucket, kept{at, file})
		slices.SortStableFunc(w.bucket, func(a, b kept) int { return int(a.at) - int(b.at) })
	}
	w.bucket = w.bucket[max(0, len(w.bucket)-keptCheckpoints):]
	if len(w.bucket) == keptCheckpoints {
		at = w.bucket[0].at
	} else if !w.breaks.Trim {
		return
	}
	if w.log.trim(at) {
		w.counts["trims"]++
	}
}

var errNoCheckpoint = errors.New("there is no checkpoint")

// checkpoint is projection.Options.Checkpoint of a process.
func (p *process) checkpoint(ctx context.Context, least kv.Position) (*projection.Projection, error) {
	w, c := p.host.world, p.bucket
	p.host.gate(c.upTo(time.Millisecond))
	if err := p.link.rest(ctx, c.upTo(100*time.Millisecond)); err != nil {
		return nil, err
	}
	if p.host.isCut() {
		return nil, errNetwork
	}
	w.mu.Lock()
	list := slices.Clone(w.bucket)
	w.mu.Unlock()
	for _, k := range slices.Backward(list) {
		file, place := slices.Clone(k.file), c.below(8*len(k.file))
		if k.at < least {
			break
		}
		if w.fault(c, "checkpoints damaged", 4) {
			file[place/8] ^= 1 << (place % 8)
		}
		if state, _, err := projection.ReadCheckpoint(bytes.NewReader(file), projection.Options{}); err == nil {
			w.count("checkpoints taken over")
			return state, nil
		}
	}
	return nil, errNoCheckpoint
}
