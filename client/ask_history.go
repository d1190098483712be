package client

import (
	"iter"

	"github.com/millpondkv/millpond/kv"
)

// historyAsk is an answer about the past that comes from one server after the other: each gives the rest of what was wanted.
type historyAsk struct {
	want  kv.HistoryRead
	yield func(kv.HistoryPart, error) bool
	begun bool       // the first part was shown
	last  kv.Version // that was shown
	over  bool       // the loop was left, or has got all that it wanted
}

// resumed returns the parts that try gives to show, which returns false when it is over. Try returns nil when a server has given all it
// had; otherwise again decides, which may wait, with an error that ends it, or nil for another try.
func resumed(want kv.HistoryRead, try func(h *historyAsk) error, again func(shown bool, err error) error) iter.Seq2[kv.HistoryPart, error] {
	return func(yield func(kv.HistoryPart, error) bool) {
		h := &historyAsk{want: want, yield: yield}
		for {
			before := h.want
			err := try(h)
			if err == nil || h.over {
				return
			}
			shown := before.Start != h.want.Start || before.End != h.want.End || before.After != h.want.After
			if err := again(shown, err); err != nil {
				yield(kv.HistoryPart{}, err)
				return
			}
		}
	}
}

func (h *historyAsk) show(part kv.HistoryPart) (more bool) {
	if v := part.Versions; len(v) > 0 && v[0].State == h.last.State && v[0].Versionstamp == h.last.Versionstamp {
		part.Versions = v[1:] // another server tells once more that the value had expired
	}
	if part.Len() == 0 && h.begun {
		return true
	}
	h.begun = true
	more = true
	if part.Len() > 0 {
		if n := len(part.Versions); n > 0 {
			h.last = part.Versions[n-1]
		}
		h.want, more = h.want.Behind(&part)
	} else if h.want.Kind != kv.HistoryVersions {
		h.want.From, h.want.To = part.From, part.To
	}
	h.over = !h.yield(part, nil) || !more
	return !h.over
}
