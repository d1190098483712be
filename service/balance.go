package service

import (
	"context"
	"time"
)

const (
	balanceEvery = 10 * time.Second
	closeEnough  = 5000 // records that a writer may be behind which is to lead: it reads them in a moment
)

// balance hands databases over, every now and then until ctx ends, to writers that lead fewer: after a writer was lost and has
// come back, it would stand by for ever otherwise.
func (w *Writers) balance(ctx context.Context) {
	ticker := time.NewTicker(w.config.BalanceEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if w.leading.Load() < 2 || !w.conn.IsConnected() {
			continue
		}
		all, err := AskStatus(ctx, w.conn, statusWait)
		if err != nil {
			w.config.Logger.Debug("cannot ask the other writers what they lead", "error", err)
			continue
		}
		for _, name := range surplus(w.config.Process, all) {
			w.yield(name)
		}
	}
}

// surplus returns which of the databases that a process leads others are to lead. Each goes to the writer that stands by for it,
// close to the end of its log, and leads the fewest, as long as that is at least two fewer than the process: so nothing moves to and fro.
func surplus(process string, all []Status) (names []string) {
	leads := map[string]int{}
	for _, s := range all {
		for _, d := range s.Databases {
			if d.Leading {
				leads[s.Process]++
			}
		}
	}
	for _, s := range all {
		if s.Process != process {
			continue
		}
		for _, d := range s.Databases {
			heir := idlest(process, d, all, leads)
			if d.Leading && heir != "" && leads[process]-leads[heir] >= 2 {
				names = append(names, d.Name)
				leads[process]--
				leads[heir]++
			}
		}
	}
	return names
}

// idlest returns the other writer that stands by for the database and leads the fewest; "" if there is none.
func idlest(process string, of DatabaseStatus, all []Status, leads map[string]int) (heir string) {
	for _, s := range all {
		if s.Role != "writer" || s.Process == process || heir != "" && leads[s.Process] >= leads[heir] {
			continue
		}
		for _, d := range s.Databases {
			near := d.Position+closeEnough >= of.Position && (d.Position > 0 || of.Position == 0)
			if d.Name == of.Name && near && !d.Damaged && !d.Leading {
				heir = s.Process
			}
		}
	}
	return heir
}

// yield asks the standby of a database to let others lead.
func (w *Writers) yield(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.known[name]
	if s == nil || !s.leading.Load() {
		return
	}
	select {
	case s.yield <- struct{}{}:
		w.config.Logger.Info("handing over a database to a writer that leads fewer", "database", name)
	default: // it is not leading just now
	}
}
