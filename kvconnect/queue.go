package kvconnect

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// KV Connect has no words for taking messages out of a queue, so these are Millpond's own: JSON below <database>/queue/.
const (
	EndpointQueueEnqueue Endpoint = "queue/enqueue"
	EndpointQueueReceive Endpoint = "queue/receive"
	EndpointQueueAck     Endpoint = "queue/ack"
	EndpointQueueNack    Endpoint = "queue/nack"
	EndpointQueueExtend  Endpoint = "queue/extend"
	EndpointQueueStats   Endpoint = "queue/stats"
	EndpointQueuePeek    Endpoint = "queue/peek"
	EndpointQueueRetry   Endpoint = "queue/retry_dead"
)

const queuePath = "queue/"

// QueueDatabase is a Database whose messages are delivered.
type QueueDatabase interface {
	Database
	Queue() Queue
}

// Queue is the queue of a database. Its methods are called concurrently, fail with kv.ErrUnavailable when the same request
// may succeed later and with kv.ErrInvalid when it never will, and return soon after ctx has ended.
type Queue interface {
	// AckWait is how long a listener may say nothing of a message before another one gets it.
	AckWait() time.Duration

	// Receive returns messages, at most so many, as they are due. It blocks until there is one, but not longer than wait.
	Receive(ctx context.Context, most int, wait time.Duration) ([]kv.Message, error)

	// Settle says what has become of messages. When it fails some may have been settled, and all may be sent again.
	Settle(ctx context.Context, v kv.Verdict, receipts []string) error

	Stats(ctx context.Context) (kv.QueueStats, error)
	Peek(ctx context.Context, state kv.MessageState, most int) ([]kv.PeekedMessage, error)

	// RetryDead puts all dead messages back into the queue and returns how many.
	RetryDead(ctx context.Context) (int, error)
}

// maxReceiveWait is less than what proxies let a request be silent.
const maxReceiveWait = 50 * time.Second

// queue answers POST /<name>/queue/….
func (s *Server) queue(w *reply, r *http.Request, to route) error {
	if s.draining.Err() != nil && to.endpoint == EndpointQueueReceive {
		return errDraining
	}
	id, err := s.authorizeQueue(r)
	if err != nil {
		return err
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	db, err := s.queueDatabase(r.Context(), to.database, id)
	if err != nil {
		return err
	}
	if to.endpoint == EndpointQueueReceive {
		return s.receiveMessages(w, r, db, body)
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.config.RequestTimeout)
	defer cancel()
	answer, err := s.answerQueue(ctx, to.endpoint, db, body)
	if err != nil {
		return err
	}
	return writeJSON(w, answer)
}

// authorizeQueue takes the access token itself as well as a token of the data path. The id is that of the database if the
// client says which one it expects.
func (s *Server) authorizeQueue(r *http.Request) (id string, err error) {
	if err := s.tokens.checkDataPath(r, s.config.Now()); err != nil {
		if s.tokens.checkAccess(r) != nil {
			return "", err
		}
	}
	id = r.Header.Get("X-Denokv-Database-Id")
	if id != "" && !isUUID(id) {
		return "", kv.Invalidf("the header x-denokv-database-id is not a database id; send the UUID from the metadata")
	}
	return id, nil
}

func (s *Server) queueDatabase(ctx context.Context, name, id string) (QueueDatabase, error) {
	var db Database
	var err error
	if id != "" {
		db, err = s.database(ctx, name, id)
	} else {
		db, err = s.config.Databases.Database(ctx, name, false)
	}
	if err != nil {
		return nil, late(ctx, err)
	}
	q, ok := db.(QueueDatabase)
	if !ok {
		return nil, failure(http.StatusNotFound, "this server delivers no messages")
	}
	return q, nil
}

func (s *Server) answerQueue(ctx context.Context, e Endpoint, db QueueDatabase, body []byte) (any, error) {
	switch e {
	case EndpointQueueEnqueue:
		return s.enqueue(ctx, db, body)
	case EndpointQueueAck, EndpointQueueNack, EndpointQueueExtend:
		return s.settle(ctx, db.Queue(), kv.Verdict(strings.TrimPrefix(string(e), queuePath)), body)
	case EndpointQueuePeek:
		return peek(ctx, db.Queue(), body)
	case EndpointQueueRetry:
		n, err := db.Queue().RetryDead(ctx)
		return retryReply{n}, late(ctx, err)
	}
	stats, err := db.Queue().Stats(ctx)
	return statsReply{stats.Waiting, stats.Scheduled, stats.InFlight, stats.Dead, stats.OldestAge.Milliseconds()}, late(ctx, err)
}

// enqueue commits messages, and what belongs to the same atomic.
func (s *Server) enqueue(ctx context.Context, db Database, body []byte) (any, error) {
	var request enqueueRequest
	if err := readJSON(body, &request); err != nil {
		return nil, err
	}
	a, err := request.atomic(s.now())
	if err != nil {
		return nil, err
	}
	if err := a.Validate(s.now(), s.config.Raw); err != nil {
		return nil, err
	}
	result, err := db.Commit(ctx, a)
	if errors.Is(err, kv.ErrWritesDisabled) {
		return nil, failure(http.StatusConflict, "Writes are disabled for this database; nothing was changed")
	}
	if err != nil {
		return nil, unknown(ctx, err)
	}
	if !result.OK() {
		return enqueueReply{FailedChecks: result.FailedChecks}, nil
	}
	return enqueueReply{OK: true, Versionstamp: result.Versionstamp.String()}, nil
}

// receiveMessages holds the request until there is a message, its time is over, or the server drains.
func (s *Server) receiveMessages(w *reply, r *http.Request, db QueueDatabase, body []byte) error {
	var request receiveRequest
	if err := readJSON(body, &request); err != nil {
		return err
	}
	most, wait := 1, maxReceiveWait
	if request.Max != nil {
		most = *request.Max
	}
	if err := kv.ValidateMax(most, kv.MaxReceived); err != nil {
		return err
	}
	if request.Wait != nil {
		if *request.Wait < 0 {
			return kv.Invalidf("wait is %d ms; it must not be negative", *request.Wait)
		}
		wait = time.Duration(min(*request.Wait, maxReceiveWait.Milliseconds())) * time.Millisecond
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // that of the server is for requests that end
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.draining, cancel)()
	queue := db.Queue()
	messages, err := queue.Receive(ctx, most, wait)
	if err != nil {
		return err
	}
	answer := receiveReply{Messages: []receivedJSON{}, AckWait: queue.AckWait().Milliseconds()}
	for _, m := range messages {
		answer.Messages = append(answer.Messages, receivedJSON(m))
	}
	return writeJSON(w, answer)
}

func (s *Server) settle(ctx context.Context, q Queue, v kv.Verdict, body []byte) (any, error) {
	var request settleRequest
	if err := readJSON(body, &request); err != nil {
		return nil, err
	}
	if err := kv.ValidateReceipts(request.Receipts); err != nil {
		return nil, err
	}
	return struct{}{}, late(ctx, q.Settle(ctx, v, request.Receipts))
}

func peek(ctx context.Context, q Queue, body []byte) (any, error) {
	var request peekRequest
	if err := readJSON(body, &request); err != nil {
		return nil, err
	}
	most := kv.MaxPeeked
	if request.Max != nil {
		most = *request.Max
	}
	if err := kv.ValidateMax(most, kv.MaxPeeked); err != nil {
		return nil, err
	}
	if request.State == "" {
		request.State = kv.MessageDue
	}
	messages, err := q.Peek(ctx, request.State, most)
	answer := peekReply{Messages: []peekedJSON{}}
	for _, m := range messages {
		answer.Messages = append(answer.Messages, peekedJSON(m))
	}
	return answer, late(ctx, err)
}
