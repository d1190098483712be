package test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/millpondkv/millpond/kv"
	dp "github.com/millpondkv/millpond/kvconnect/datapath"
)

// wire speaks KV Connect as it is on the wire, for what stock clients cannot send or do not show. Like Deno's client it
// has one HTTP/2 connection.
type wire struct {
	t        testing.TB
	http     *http.Client
	dials    *atomic.Int32 // connections made
	endpoint string        // of the data path
	id       string        // of the database
	header   http.Header   // of the data path
}

// metadata is the answer of a metadata exchange.
type metadata struct {
	Version    int
	DatabaseID string
	Endpoints  []struct{ URL, Consistency string }
	Token      string
	ExpiresAt  string
}

// dial exchanges metadata with a database.
func dial(t testing.TB, database string) *wire {
	t.Helper()
	w := &wire{t: t, dials: new(atomic.Int32)}
	w.http = h2c(w.dials)
	t.Cleanup(w.http.CloseIdleConnections)
	status, body, err := send(t.Context(), w.http, database, metadataHeader(), []byte(`{"supportedVersions":[1,2,3]}`))
	var m metadata
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err != nil || status != http.StatusOK || len(m.Endpoints) == 0 {
		t.Fatalf("metadata exchange with %s: %v: status %d: %s", database, err, status, body)
	}
	w.endpoint, w.id = resolve(t, database, m.Endpoints[0].URL), m.DatabaseID
	w.header = http.Header{
		"Authorization":        {"Bearer " + m.Token},
		"X-Denokv-Version":     {strconv.Itoa(m.Version)},
		"X-Denokv-Database-Id": {m.DatabaseID},
		"Content-Type":         {"application/x-protobuf"},
	}
	return w
}

func metadataHeader() http.Header {
	return http.Header{"Authorization": {"Bearer " + accessToken}, "Content-Type": {"application/json"}}
}

// h2c returns a client that speaks HTTP/2 without TLS, on one connection, and counts the connections it makes.
func h2c(dials *atomic.Int32) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{StrictMaxConcurrentRequests: true}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	return &http.Client{Transport: transport}
}

// resolve returns the URL of an endpoint, which may be relative to the URL of the metadata exchange.
func resolve(t testing.TB, base, endpoint string) string {
	t.Helper()
	b, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	e, err := b.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return e.String()
}

// send posts a body and reads the whole answer.
func send(ctx context.Context, client *http.Client, url string, header http.Header, body []byte) (int, []byte, error) {
	resp, err := open(ctx, client, url, header, body)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	return resp.StatusCode, out, err
}

// open posts a body; the answer's body is still to come.
func open(ctx context.Context, client *http.Client, url string, header http.Header, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = header.Clone()
	return client.Do(req)
}

// call sends a message to an endpoint of the data path and decodes the answer.
func (w *wire) call(ctx context.Context, endpoint string, in, out proto.Message) error {
	body, err := proto.Marshal(in)
	if err != nil {
		return err
	}
	status, answer, err := send(ctx, w.http, w.endpoint+"/"+endpoint, w.header, body)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s: status %d: %s", endpoint, status, answer)
	}
	return proto.Unmarshal(answer, out)
}

// tryCommit sends mutations as one atomic write. After an error they may have been committed.
func (w *wire) tryCommit(ctx context.Context, mutations ...*dp.Mutation) error {
	var out dp.AtomicWriteOutput
	err := w.call(ctx, "atomic_write", &dp.AtomicWrite{Mutations: mutations}, &out)
	if err == nil && out.Status != dp.AtomicWriteStatus_AW_SUCCESS {
		err = fmt.Errorf("atomic write: %v", out.Status)
	}
	return err
}

// commit commits mutations and returns the versionstamp.
func (w *wire) commit(mutations ...*dp.Mutation) kv.Versionstamp {
	w.t.Helper()
	out := w.write(&dp.AtomicWrite{Mutations: mutations})
	if out.Status != dp.AtomicWriteStatus_AW_SUCCESS || len(out.Versionstamp) != 10 {
		w.t.Fatalf("got %v, want a commit", out)
	}
	return kv.Versionstamp(out.Versionstamp)
}

func (w *wire) write(a *dp.AtomicWrite) *dp.AtomicWriteOutput {
	w.t.Helper()
	var out dp.AtomicWriteOutput
	if err := w.call(w.t.Context(), "atomic_write", a, &out); err != nil {
		w.t.Fatal(err)
	}
	return &out
}

// read returns the entries of each range.
func (w *wire) read(ranges ...*dp.ReadRange) [][]*dp.KvEntry {
	w.t.Helper()
	var out dp.SnapshotReadOutput
	if err := w.call(w.t.Context(), "snapshot_read", &dp.SnapshotRead{Ranges: ranges}, &out); err != nil {
		w.t.Fatal(err)
	}
	if out.Status != dp.SnapshotReadStatus_SR_SUCCESS || !out.ReadIsStronglyConsistent || len(out.Ranges) != len(ranges) {
		w.t.Fatalf("snapshot read of %d ranges: got %v", len(ranges), &out)
	}
	entries := make([][]*dp.KvEntry, len(ranges))
	for i, r := range out.Ranges {
		entries[i] = r.Values
	}
	return entries
}

// get returns the entry of a key, nil if it is absent.
func (w *wire) get(k []byte) *dp.KvEntry {
	w.t.Helper()
	entries := w.read(&dp.ReadRange{Start: k, End: append(bytes.Clone(k), 0), Limit: 1})[0]
	if len(entries) == 0 {
		return nil
	}
	return entries[0]
}

// list returns all entries whose keys begin with the parts of prefix, in pages of 1,000.
func (w *wire) list(prefix []byte) []*dp.KvEntry {
	w.t.Helper()
	const limit = 1000
	start, end := append(bytes.Clone(prefix), 0), append(bytes.Clone(prefix), 0xff)
	var all []*dp.KvEntry
	for {
		page := w.read(&dp.ReadRange{Start: start, End: end, Limit: limit})[0]
		all = append(all, page...)
		if len(page) < limit {
			return all
		}
		start = append(bytes.Clone(page[limit-1].Key), 0)
	}
}

// watching is the stream of a watch.
type watching struct {
	w    *wire
	body io.ReadCloser
}

// watch opens a watch that lasts until ctx ends.
func (w *wire) watch(ctx context.Context, keys ...[]byte) *watching {
	w.t.Helper()
	request := &dp.Watch{}
	for _, k := range keys {
		request.Keys = append(request.Keys, &dp.WatchKey{Key: k})
	}
	body, err := proto.Marshal(request)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := open(ctx, w.http, w.endpoint+"/watch", w.header, body)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("watch: status %d", resp.StatusCode)
	}
	return &watching{w, resp.Body}
}

// frame returns the next frame: nil for a ping. It fails with io.EOF when the server has ended the stream.
func (s *watching) frame() (*dp.WatchOutput, error) {
	var size [4]byte
	if _, err := io.ReadFull(s.body, size[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.LittleEndian.Uint32(size[:]))
	if _, err := io.ReadFull(s.body, body); err != nil || len(body) == 0 {
		return nil, err
	}
	out := new(dp.WatchOutput)
	return out, proto.Unmarshal(body, out)
}

// next returns the entries of the next frame that is no ping, in the order of the watched keys.
func (s *watching) next() []*dp.KvEntry {
	s.w.t.Helper()
	for {
		out, err := s.frame()
		if err != nil {
			s.w.t.Fatalf("watch: %v", err)
		}
		if out == nil {
			continue
		}
		var entries []*dp.KvEntry
		for _, k := range out.Keys {
			entries = append(entries, k.EntryIfChanged)
		}
		return entries
	}
}
