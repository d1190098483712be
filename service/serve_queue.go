package service

import (
	"context"
	"sync"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/nats-io/nats.go"
	"github.com/oklog/ulid/v2"
)

// servedReceives are the receives that a reader holds for clients.
type servedReceives struct {
	mu   sync.Mutex
	byID map[ulid.ULID]context.CancelFunc
}

// add returns false if there are too many.
func (s *servedReceives) add(id ulid.ULID, end context.CancelFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byID) >= mostReceives {
		return false
	}
	s.byID[id] = end
	return true
}

func (s *servedReceives) remove(id ulid.ULID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, id)
}

// left ends the receive of a client that does not wait any more, if this reader holds it.
func (v *server) left(m *nats.Msg) {
	id, err := wire.DecodeLeave(m.Data)
	if err != nil {
		v.refuse(m, err)
		return
	}
	v.receives.mu.Lock()
	end := v.receives.byID[id]
	v.receives.mu.Unlock()
	if end != nil {
		end()
	}
}

// queue answers what clients ask of a database's queue.
func (v *server) queue(m *nats.Msg) {
	request, err := wire.DecodeQueueRequest(m.Data)
	if err == nil {
		err = validateQueue(&request)
	}
	if err != nil {
		v.refuse(m, err)
		v.respondQueue(m, nil, err)
		return
	}
	d, err := v.database(v.ending, m, false)
	if err != nil {
		v.respondQueue(m, nil, err)
		return
	}
	if request.Method == wire.QueueReceive {
		v.receive(d, m, &request)
		return
	}
	reply, err := d.answerQueue(&request)
	v.respondQueue(m, reply, err)
}

func validateQueue(r *wire.QueueRequest) error {
	switch r.Method {
	case wire.QueueReceive:
		return kv.ValidateMax(r.Most, kv.MaxReceived)
	case wire.QueuePeek:
		return kv.ValidateMax(r.Most, kv.MaxPeeked)
	case wire.QueueAck, wire.QueueNack, wire.QueueExtend:
		return kv.ValidateReceipts(r.Receipts)
	}
	return nil
}

func (v *server) respondQueue(m *nats.Msg, r *wire.QueueReply, err error) {
	for _, part := range wire.Split(wire.EncodeQueueReply(r, err), int(v.conn.MaxPayload())) {
		v.respond(m, part)
	}
}

// receive holds a receive until there is a message, its client leaves, or the reader stops.
func (v *server) receive(d *Database, m *nats.Msg, r *wire.QueueRequest) {
	ctx, cancel := context.WithCancel(v.ending)
	if !v.receives.add(r.ID, cancel) {
		cancel()
		v.respondQueue(m, nil, kv.Errorf(kv.ErrUnavailable, "The reader serves too many listeners; try again."))
		return
	}
	v.requests.Go(func() { // in no slot: it may be there for long
		defer cancel()
		defer v.receives.remove(r.ID)
		messages, err := d.queue.Receive(ctx, r.Most, min(r.Wait, receiveWait))
		if len(messages) == 0 && v.ending.Err() != nil {
			err = errStopping
		}
		v.respondQueue(m, &wire.QueueReply{Messages: messages, AckWait: d.queue.AckWait()}, err)
	})
}

// verdicts are what clients say of messages.
var verdicts = map[wire.QueueMethod]kv.Verdict{
	wire.QueueAck: kv.VerdictAck, wire.QueueNack: kv.VerdictNack, wire.QueueExtend: kv.VerdictExtend,
}

// answerQueue does what needs no waiting.
func (d *Database) answerQueue(r *wire.QueueRequest) (reply *wire.QueueReply, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), queueTimeout)
	defer cancel()
	reply = &wire.QueueReply{}
	switch r.Method {
	case wire.QueueStats:
		reply.Stats, err = d.queue.Stats(ctx)
	case wire.QueuePeek:
		reply.Peeked, err = d.queue.Peek(ctx, r.State, r.Most)
	case wire.QueueRetryDead:
		reply.Retried, err = d.queue.RetryDead(ctx)
	default:
		err = d.queue.Settle(ctx, verdicts[r.Method], r.Receipts)
	}
	return reply, err
}
