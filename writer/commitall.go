package writer

import (
	"context"

	"github.com/millpondkv/millpond/kv"
)

// Outcome is what became of a Request: what Commit returns.
type Outcome struct {
	Result kv.CommitResult
	Err    error
}

// CommitAll is Commit for requests that have come together, in their order: they are handed in at once, and so decided in one
// record if they fit. It blocks until all are answered.
func (s *Sequencer) CommitAll(ctx context.Context, requests []Request) []Outcome {
	outcomes := make([]Outcome, len(requests))
	waiting := make([]*request, len(requests))
	for i := range requests {
		waiting[i] = newRequest(&requests[i])
	}
	s.mu.Lock()
	for i, r := range waiting {
		outcomes[i].Err = s.enqueueLocked(r)
	}
	s.mu.Unlock()
	for i, r := range waiting {
		o := &outcomes[i]
		if o.Err == nil {
			o.Result, o.Err = r.wait(ctx)
		}
		o.Err = requests[i].outcome(o.Err)
	}
	return outcomes
}
