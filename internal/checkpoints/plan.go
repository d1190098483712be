package checkpoints

import (
	"time"

	"github.com/millpondkv/millpond/kv"
)

const (
	windowSteps = 8 // into which the kept checkpoints divide the history window, more or less: the log is trimmed in such steps
	keptNewest  = 3 // whatever the window needs: should the newest turn out to be damaged, there are others to begin from
)

// plan says which checkpoints of a list, oldest first, are kept when the history window begins at start, and up to where the log may be trimmed: its
// first record becomes the one at that position; 0: it may not be.
//
// The last checkpoint before the window is kept, since what was in the window is replayed from it; of those in the window, as many as
// keep them a step apart; and the newest. Behind the first of them nobody needs the log, if that one is before the window.
func plan(list []Info, start kv.Millis, history time.Duration) (keep, drop []Info, trim kv.Position) {
	base := 0
	for i, info := range list {
		if info.Time <= start {
			base = i
		}
	}
	step := kv.Millis((history / windowSteps).Milliseconds())
	for i, info := range list {
		switch {
		case i == base, i >= len(list)-keptNewest, i > base && list[i+1].Time > keep[len(keep)-1].Time+step:
			keep = append(keep, info)
		default:
			drop = append(drop, info)
		}
	}
	if len(keep) > 0 && keep[0].Time <= start {
		trim = keep[0].Position
	}
	return keep, drop, trim
}
