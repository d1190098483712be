package kvconnect_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
	"github.com/millpondkv/millpond/service/wire"
)

// fakeHistory gives some parts, and ends with an error.
type fakeHistory struct {
	*fakeDatabase
	asked kv.HistoryRead
	parts []kv.HistoryPart
	err   error
	slow  time.Duration // what each part takes
	fails error         // instead of all that
}

func (f *fakeHistory) History(_ context.Context, want kv.HistoryRead) (kvconnect.History, error) {
	f.asked = want
	return f, f.fails
}

func (f *fakeHistory) Next(ctx context.Context) (part kv.HistoryPart, err error) {
	if f.slow > 0 {
		select {
		case <-time.After(f.slow):
		case <-ctx.Done():
			return part, ctx.Err()
		}
	}
	if len(f.parts) == 0 {
		return part, f.err
	}
	part, f.parts = f.parts[0], f.parts[1:]
	return part, nil
}

type historyDatabases struct{ db kvconnect.Database }

func (d historyDatabases) Database(context.Context, string, bool) (kvconnect.Database, error) {
	return d.db, nil
}

func newHistoryServer(t *testing.T) (*testServer, *fakeHistory) {
	t.Helper()
	f := &fakeHistory{fakeDatabase: newFakeDatabase(databaseID), err: io.EOF}
	return newTestServer(t, func(c *kvconnect.Config) { c.Databases = historyDatabases{f} }), f
}

func (s *testServer) askHistory(read kv.HistoryRead) *httptest.ResponseRecorder {
	question := wire.History{HistoryRead: read}
	return s.do(s.request("/default/history", strings.NewReader(string(question.Encode()))))
}

// frames reads an answer: its parts, the error at its end, and how many pings are in it.
func frames(t *testing.T, body []byte) (parts []wire.HistoryPart, pings int, err error) {
	t.Helper()
	for len(body) > 0 {
		n := binary.LittleEndian.Uint32(body)
		frame := body[4 : 4+n]
		body = body[4+n:]
		if n == 0 {
			pings++
			continue
		}
		var part wire.HistoryPart
		if part, err = wire.DecodeHistoryPart(frame); err == nil {
			parts = append(parts, part)
		}
	}
	return parts, pings, err
}

// What is asked for arrives, and the parts come in order, the last one marked, with pings while they take long.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := newHistoryServer(t)
		f.slow = 12 * time.Second
		entry := kv.Entry{Key: "\x02a\x00", Versionstamp: kv.NewVersionstamp(1, 0), Value: kv.Value{Encoding: kv.EncodingBytes, Data: []byte("x")}}
		f.parts = []kv.HistoryPart{{To: kv.Moment{Time: 7}}, {Entries: []kv.Entry{entry}}}
		read := kv.HistoryRead{Kind: kv.HistoryEntries, Start: "\x00", End: "\xff", Limit: 3}
		w := s.askHistory(read)
		parts, pings, err := frames(t, w.Body.Bytes())
		want := []wire.HistoryPart{
			{Number: 1, HistoryPart: kv.HistoryPart{To: kv.Moment{Time: 7}}},
			{Number: 2, HistoryPart: kv.HistoryPart{Entries: []kv.Entry{entry}}}, {Number: 3, Last: true},
		}
		if diff := cmp.Diff(want, parts); diff != "" || err != nil || pings != 6 || w.Code != http.StatusOK {
			t.Errorf("%d, %v, %d pings (-want +got):\n%s", w.Code, err, pings, diff)
		}
		if diff := cmp.Diff(read, f.asked); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
	})
}

// What goes wrong before there is an answer has a status; what does later, a frame, if it is meant for users.
func TestHistoryErrors(t *testing.T) {
	read := kv.HistoryRead{Kind: kv.HistoryEntries}
	gone := kv.Errorf(kv.ErrGone, "it is gone")
	for _, test := range []struct {
		err    error
		status int
		text   string
	}{
		{gone, http.StatusGone, "it is gone"}, {kv.Invalidf("cannot be"), http.StatusBadRequest, "cannot be"},
		{kv.Errorf(kv.ErrUnavailable, "not now"), http.StatusServiceUnavailable, "not now"},
		{errors.New("secret"), http.StatusConflict, "did not expect"},
	} {
		s, f := newHistoryServer(t)
		f.fails = test.err
		wantError(t, s.askHistory(read), test.status, test.text)
		f.fails, f.err = nil, test.err
		wantError(t, s.askHistory(read), test.status, test.text)
	}
	s, f := newHistoryServer(t)
	f.parts, f.err = []kv.HistoryPart{{}}, gone
	w := s.askHistory(read)
	if parts, _, err := frames(t, w.Body.Bytes()); len(parts) != 1 || !errors.Is(err, kv.ErrGone) || err.Error() != "it is gone" {
		t.Errorf("%v, %v", parts, err)
	}
	f.parts, f.err = []kv.HistoryPart{{}}, errors.New("secret")
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler {
				t.Error("an answer that cannot go on is not cut off")
			}
		}()
		s.askHistory(read)
	}()
	wantError(t, s.askHistory(kv.HistoryRead{}), http.StatusBadRequest, "the kind of history 0 is unknown")
	wantError(t, s.do(s.request("/default/history", strings.NewReader("x"))), http.StatusBadRequest, "none of Millpond's")
	r := s.request("/default/history", strings.NewReader(""))
	r.Header.Set("Authorization", "Bearer wrong")
	if w := s.do(r); w.Code != http.StatusUnauthorized {
		t.Errorf("with a wrong token: %d", w.Code)
	}
	s.Drain()
	wantError(t, s.askHistory(read), http.StatusServiceUnavailable, "shutting down")
	plain := newTestServer(t, nil)
	wantError(t, plain.askHistory(read), http.StatusBadRequest, "keeps no history")
}

// Only so many are answered at once, and a client that leaves makes room.
func TestHistoryMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := newHistoryServer(t)
		f.slow = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		ask := func(ctx context.Context) *httptest.ResponseRecorder {
			defer func() { recover() }() // the answer is cut off
			question := wire.History{HistoryRead: kv.HistoryRead{Kind: kv.HistoryEntries}}
			return s.do(s.request("/default/history", strings.NewReader(string(question.Encode()))).WithContext(ctx))
		}
		for range 16 {
			go ask(ctx)
		}
		synctest.Wait()
		wantError(t, ask(t.Context()), http.StatusServiceUnavailable, "too many questions")
		cancel()
		synctest.Wait()
		f.slow = 0
		if w := ask(t.Context()); w.Code != http.StatusOK {
			t.Errorf("after the others have left: %d", w.Code)
		}
	})
}
