package client

import "sync"

// link is the connection to one NATS server after the other. What was asked over one of them is not answered over the next.
type link struct {
	mu   sync.Mutex
	lost chan struct{} // closed when the connection is lost that is there now; nil: nobody has asked
}

// current returns a channel that is closed once the connection of now is lost.
func (l *link) current() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = make(chan struct{})
	}
	return l.lost
}

// cut ends what was asked over the connection that is lost.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost != nil {
		close(l.lost)
		l.lost = nil
	}
}
