package kvconnect_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
)

// fakeQueue notes what it is asked for.
type fakeQueue struct {
	*fakeDatabase
	asked   string
	err     error
	arrived chan struct{} // if set, closed when Receive is called, which then blocks
}

func (f *fakeQueue) Queue() kvconnect.Queue { return f }

func (f *fakeQueue) AckWait() time.Duration { return 10 * time.Second }

func (f *fakeQueue) Receive(ctx context.Context, most int, wait time.Duration) ([]kv.Message, error) {
	f.asked = fmt.Sprint("receive ", most, " ", wait)
	if f.arrived != nil {
		close(f.arrived)
		<-ctx.Done()
		return nil, nil
	}
	return []kv.Message{{ID: "id", Payload: null, Attempt: 2, Receipt: "r"}}, f.err
}

func (f *fakeQueue) Settle(_ context.Context, v kv.Verdict, receipts []string) error {
	f.asked = fmt.Sprint("settle ", v, " ", receipts)
	return f.err
}

func (f *fakeQueue) Stats(context.Context) (kv.QueueStats, error) {
	return kv.QueueStats{Waiting: 1, Scheduled: 2, InFlight: 3, Dead: 4, OldestAge: 5 * time.Second}, f.err
}

func (f *fakeQueue) Peek(_ context.Context, state kv.MessageState, most int) ([]kv.PeekedMessage, error) {
	f.asked = fmt.Sprint("peek ", state, " ", most)
	return []kv.PeekedMessage{{ID: "id", Payload: null, Enqueued: 7, Deadline: 8}}, f.err
}

func (f *fakeQueue) RetryDead(context.Context) (int, error) { return 9, f.err }

// null is a V8 value.
var null = []byte{0xff, 0x0f, '0'}

// queueDatabases has one database, which has a queue.
type queueDatabases struct{ queue *fakeQueue }

func (d queueDatabases) Database(context.Context, string, bool) (kvconnect.Database, error) {
	return d.queue, nil
}

func newQueueServer(t *testing.T) (*testServer, *fakeQueue) {
	t.Helper()
	queue := &fakeQueue{fakeDatabase: newFakeDatabase(databaseID)}
	return newTestServer(t, func(c *kvconnect.Config) { c.Databases = queueDatabases{queue} }), queue
}

// ask posts JSON to an endpoint of the queue with a token.
func (s *testServer) ask(endpoint, body, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/default/queue/"+endpoint, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	return s.do(r)
}

// The endpoints take and answer JSON, with a token of the data path or the access token itself.
func TestQueueEndpoints(t *testing.T) {
	s, queue := newQueueServer(t)
	for _, test := range []struct{ endpoint, body, asked, answer string }{
		{"receive", `{"max":3,"wait":1500}`, "receive 3 1.5s", `{"messages":[{"id":"id","payload":"/w8w","attempt":2,"receipt":"r"}],"ackWait":10000}`},
		{"receive", ``, "receive 1 50s", `{"messages":[{"id":"id","payload":"/w8w","attempt":2,"receipt":"r"}],"ackWait":10000}`},
		{"receive", `{"wait":86400000}`, "receive 1 50s", `{"messages":[{"id":"id","payload":"/w8w","attempt":2,"receipt":"r"}],"ackWait":10000}`},
		{"ack", `{"receipts":["a","b"]}`, "settle ack [a b]", `{}`},
		{"nack", `{"receipts":["a"]}`, "settle nack [a]", `{}`},
		{"extend", `{"receipts":["a"]}`, "settle extend [a]", `{}`},
		{"stats", ``, "", `{"waiting":1,"scheduled":2,"inFlight":3,"dead":4,"oldestAge":5000}`},
		{"peek", `{"state":"dead","max":2}`, "peek dead 2", `{"messages":[{"id":"id","payload":"/w8w","enqueued":7,"deadline":8}]}`},
		{"peek", `{}`, "peek due 100", `{"messages":[{"id":"id","payload":"/w8w","enqueued":7,"deadline":8}]}`},
		{"retry_dead", `{}`, "", `{"retried":9}`},
	} {
		for name, token := range map[string]string{"data path": s.token, "access": accessToken} {
			queue.asked = ""
			w := s.ask(test.endpoint, test.body, token)
			if w.Code != http.StatusOK || w.Body.String() != test.answer || queue.asked != test.asked {
				t.Errorf("%s %s with the %s token: %d %s, asked for %q; want %s, %q", test.endpoint, test.body, name, w.Code, w.Body, queue.asked, test.answer, test.asked)
			}
		}
	}
}

// A message is committed together with the checks and mutations that came with it.
func TestQueueEnqueue(t *testing.T) {
	s, queue := newQueueServer(t)
	var got *kv.Atomic
	queue.commit = func(_ context.Context, a *kv.Atomic) (kv.CommitResult, error) {
		got = a
		return kv.CommitResult{Versionstamp: kv.NewVersionstamp(5, 1)}, nil
	}
	key := kv.Key{"k"}.MustEncode()
	k := base64.StdEncoding.EncodeToString([]byte(key))
	before := kv.MillisOf(time.Now())
	w := s.ask("enqueue", `{"checks":[{"key":"`+k+`","versionstamp":null},{"key":"`+k+`","versionstamp":"00000000000000070001"}],
		"mutations":[{"type":1,"key":"`+k+`","encoding":1,"value":"/w8w","expireIn":60000},{"type":2,"key":"`+k+`"}],
		"messages":[{"payload":"/w8w"},{"payload":"/w8w","delay":1000,"backoffSchedule":[],"keysIfUndelivered":["`+k+`"]}]}`, s.token)
	if want := `{"ok":true,"versionstamp":"00000000000000050001"}`; w.Code != http.StatusOK || w.Body.String() != want {
		t.Fatalf("got %d %s, want %s", w.Code, w.Body, want)
	}
	expiry, deadline := got.Mutations[0].ExpireAt, got.Enqueues[1].Deadline
	if after := kv.MillisOf(time.Now()); expiry < before+60_000 || expiry > after+60_000 || deadline < before+1000 || deadline > after+1000 {
		t.Errorf("the expiry is %v and the deadline %v, after a request at %v", expiry, deadline, before)
	}
	stamp := kv.NewVersionstamp(7, 1)
	want := &kv.Atomic{
		Checks: []kv.Check{{Key: key}, {Key: key, Versionstamp: &stamp}},
		Mutations: []kv.Mutation{
			{Type: kv.MutationSet, Key: key, Value: kv.Value{Encoding: kv.EncodingV8, Data: null}, ExpireAt: expiry},
			{Type: kv.MutationDelete, Key: key},
		},
		Enqueues: []kv.Enqueue{{Payload: null}, {Payload: null, Deadline: deadline, BackoffSchedule: []uint32{}, KeysIfUndelivered: []kv.EncodedKey{key}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("atomic (-want +got):\n%s", diff)
	}
	queue.commit = func(context.Context, *kv.Atomic) (kv.CommitResult, error) {
		return kv.CommitResult{FailedChecks: []int{1}}, nil
	}
	w = s.ask("enqueue", `{"messages":[{"payload":"/w8w"}]}`, s.token)
	if want := `{"ok":false,"failedChecks":[1]}`; w.Code != http.StatusOK || w.Body.String() != want {
		t.Errorf("got %d %s, want %s", w.Code, w.Body, want)
	}
}

// What cannot be done is one sentence.
func TestQueueBadRequests(t *testing.T) {
	s, queue := newQueueServer(t)
	for _, test := range []struct {
		endpoint, body string
		status         int
		want           string
	}{
		{"receive", `{"max":0}`, 400, "max is 0; it must be from 1 to 100"},
		{"receive", `{"max":101}`, 400, "max is 101"},
		{"receive", `{"wait":-1}`, 400, "wait is -1 ms; it must not be negative"},
		{"receive", `{"most":1}`, 400, `unknown field "most"`},
		{"receive", `[`, 400, "the request body is not what this endpoint takes"},
		{"receive", `{} {}`, 400, "goes on after its JSON object"},
		{"ack", `{}`, 400, "there are 0 receipts; send 1 to 1000"},
		{"peek", `{"max":101}`, 400, "max is 101"},
		{"enqueue", `{"messages":[{"payload":"?"}]}`, 400, "the request body is not what this endpoint takes"},
		{"enqueue", `{"messages":[{"payload":""}]}`, 400, "enqueue 0: the payload is 0 bytes"},
		{"enqueue", `{"messages":[{"payload":"/w8w","delay":-1}]}`, 400, "message 0: the delay is -1 ms"},
		{"enqueue", `{"messages":[{"payload":"/w8w","delay":2592000001}]}`, 400, "which is 30 days"},
		{"enqueue", `{"messages":[{"payload":"/w8w","backoffSchedule":[3600001]}]}`, 400, "backoff interval 0 is 3600001 ms"},
		{"enqueue", `{"mutations":[{"type":1,"key":"AmEA","expireIn":-1}]}`, 400, "mutation 0: expireIn is -1 ms"},
		{"enqueue", `{"checks":[{"key":"AmEA","versionstamp":"x"}]}`, 400, "check 0: the versionstamp"},
		{"drop", `{}`, 404, "there is no endpoint"},
	} {
		wantError(t, s.ask(test.endpoint, test.body, s.token), test.status, test.want)
	}
	wantError(t, s.ask("stats", "", "wrong"), 401, "the token is not one of this server's")
	r := httptest.NewRequest(http.MethodPost, "/default/queue/stats", nil)
	s.authorize(r)
	r.Header.Set("x-denokv-database-id", otherID)
	wantError(t, s.do(r), 403, "exchange metadata again")
	queue.err = kv.Errorf(kv.ErrUnavailable, "not now")
	for _, endpoint := range []string{"receive", "stats", "peek", "retry_dead"} {
		wantError(t, s.ask(endpoint, "", s.token), 503, "not now")
	}
	queue.err = errors.New("a secret")
	wantError(t, s.ask("stats", "", s.token), 409, "did not expect")
	plain := newTestServer(t, nil)
	wantError(t, plain.ask("stats", "", plain.token), 404, "delivers no messages")
}

// A listener that waits is answered when the server drains, and later ones are refused.
func TestQueueDrain(t *testing.T) {
	s, queue := newQueueServer(t)
	queue.arrived = make(chan struct{})
	answered := make(chan *httptest.ResponseRecorder)
	go func() { answered <- s.ask("receive", "", s.token) }()
	<-queue.arrived
	s.Drain()
	if w := <-answered; w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), `{"messages":[]`) {
		t.Errorf("got %d %s, want no messages", w.Code, w.Body)
	}
	wantError(t, s.ask("receive", "", s.token), 503, "shutting down")
}
