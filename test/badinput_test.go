package test

import (
	"bytes"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/millpondkv/millpond/kv"
	dp "github.com/millpondkv/millpond/kvconnect/datapath"
)

// refusal is a request that must be refused: with the status and a sentence that has the words.
type refusal struct {
	endpoint string
	body     []byte
	status   int
	words    string
}

// Bad input is answered with a 4xx and one sentence that names what is wrong with which part, and nothing is written.
// (A 5xx would make Deno send it again for ever.)
func TestBadInput(t *testing.T) {
	s := startServer(t)
	w := dial(t, s.url(""))
	w.commit(set(key("text"), js("seven")), set(key("number"), js(1.0)))
	before := w.list(nil)

	for name, r := range refusals() {
		t.Run(name, func(t *testing.T) {
			status, body, err := send(t.Context(), w.http, w.endpoint+"/"+r.endpoint, w.header, r.body)
			if err != nil {
				t.Fatal(err)
			}
			if status != r.status || !strings.Contains(strings.ToLower(string(body)), strings.ToLower(r.words)) {
				t.Errorf("got %d: %s\nwant %d and the words %q", status, body, r.status, r.words)
			}
			if len(body) > 500 || bytes.Contains(body, []byte("\n")) {
				t.Errorf("the answer is not one sentence: %s", body)
			}
		})
	}

	equal := func(a, b *dp.KvEntry) bool { return proto.Equal(a, b) }
	if after := w.list(nil); !slices.EqualFunc(before, after, equal) {
		t.Errorf("what was refused has been written: got %v, want %v", after, before)
	}
}

func refusals() map[string]refusal {
	all := map[string]refusal{
		"malformed/read":   {"snapshot_read", []byte{0x0a, 0xff}, 400, ""},
		"malformed/write":  {"atomic_write", []byte("not protobuf"), 400, ""},
		"malformed/watch":  {"watch", []byte{0xff}, 400, ""},
		"body/too large":   {"atomic_write", make([]byte, 2<<20+1), 413, "2097152"},
		"unknown endpoint": {"other", nil, 404, "other"},
	}
	add := func(status int, endpoint string, cases map[string]struct {
		message proto.Message
		words   string
	}) {
		for name, c := range cases {
			body, err := proto.Marshal(c.message)
			if err != nil {
				panic(err)
			}
			all[endpoint+"/"+name] = refusal{endpoint, body, status, c.words}
		}
	}
	add(400, "atomic_write", badWrites())
	add(400, "snapshot_read", badReads())
	add(400, "watch", badWatches())
	return all
}

type badMessages = map[string]struct {
	message proto.Message
	words   string
}

func badReads() badMessages {
	read := func(r ...*dp.ReadRange) proto.Message { return &dp.SnapshotRead{Ranges: r} }
	good := &dp.ReadRange{Start: key("a"), End: key("b"), Limit: 1}
	return badMessages{
		"start after end":  {read(good, &dp.ReadRange{Start: key("b"), End: key("a"), Limit: 1}), "range 1"},
		"limit 0":          {read(&dp.ReadRange{Start: key("a"), End: key("b")}), "limit"},
		"limit negative":   {read(&dp.ReadRange{Start: key("a"), End: key("b"), Limit: -5}), "limit"},
		"too many ranges":  {read(slices.Repeat([]*dp.ReadRange{good}, 11)...), "11"},
		"too many entries": {read(good, &dp.ReadRange{Start: key("a"), End: key("b"), Limit: 1000}), "1000"},
		"long key":         {read(&dp.ReadRange{Start: make([]byte, 2050), End: []byte{0xff}, Limit: 1}), "2049"},
	}
}

func badWatches() badMessages {
	watch := func(keys ...[]byte) proto.Message {
		request := &dp.Watch{}
		for _, k := range keys {
			request.Keys = append(request.Keys, &dp.WatchKey{Key: k})
		}
		return request
	}
	return badMessages{
		"no key":        {watch(), "at least one key"},
		"too many keys": {watch(slices.Repeat([][]byte{key("a")}, 11)...), "11"},
		"long key":      {watch(key("a"), make([]byte, 2050)), "watched key 1"},
	}
}

func badWrites() badMessages {
	write := func(m ...*dp.Mutation) proto.Message { return &dp.AtomicWrite{Mutations: m} }
	check := func(c ...*dp.Check) proto.Message { return &dp.AtomicWrite{Checks: c} }
	enqueue := func(e *dp.Enqueue) proto.Message { return &dp.AtomicWrite{Enqueues: []*dp.Enqueue{e}} }
	good := set(key("new"), js("never written"))
	long := key(strings.Repeat("k", kv.MaxWriteKeySize))
	large := raw(make([]byte, kv.MaxValueSize))
	expiring := func(at int64) *dp.Mutation {
		m := set(key("a"), js("x"))
		m.ExpireAtMs = at
		return m
	}
	bounded := sum(key("number"), js(5.0))
	bounded.SumMax = js(3.0).Data
	return badMessages{
		"undecodable key":     {write(good, set([]byte{0x99}, js("x"))), "mutation 1"},
		"key that is cut off": {write(set([]byte("\x02a"), js("x"))), "mutation 0"},
		"empty key":           {write(set(nil, js("x"))), "mutation 0"},
		"long key":            {write(good, set(long, js("x"))), "2048"},
		"long value":          {write(good, set(key("a"), raw(make([]byte, kv.MaxValueSize+1)))), "65537"},
		"LE64 of 7 bytes": {write(good, set(key("a"), &dp.KvValue{
			Data: make([]byte, 7), Encoding: dp.ValueEncoding_VE_LE64})), "7 bytes"},
		"unknown encoding":      {write(good, set(key("a"), &dp.KvValue{Encoding: 9})), "encoding 9"},
		"unknown mutation type": {write(good, mutation(7, key("a"), js("x"))), "7"},
		"no mutation type":      {write(mutation(0, key("a"), js("x"))), "mutation 0"},
		"set without a value":   {write(set(key("a"), nil)), "value"},
		"sum without a value":   {write(sum(key("a"), nil)), "value"},
		"sum of a string":       {write(good, sum(key("text"), u64(1))), "mutation 1"},
		"sum by a string":       {write(good, sum(key("a"), js("1"))), "mutation 1"},
		"sum over its bound":    {write(good, bounded), "mutation 1"},
		"min of V8":             {write(mutation(dp.MutationType_M_MIN, key("a"), js(1.0))), "non-U64"},
		"expiry in the past":    {write(expiring(math.MinInt64)), "mutation 0"},
		"expiry out of range":   {write(expiring(math.MaxInt64)), "mutation 0"},
		"1,001 mutations":       {write(slices.Repeat([]*dp.Mutation{good}, kv.MaxMutations+1)...), "1001"},
		"too large in all":      {write(slices.Repeat([]*dp.Mutation{set(key("a"), large)}, 13)...), "819200"},
		"101 checks":            {check(slices.Repeat([]*dp.Check{{Key: key("a")}}, kv.MaxChecks+1)...), "101"},
		"short versionstamp":    {check(&dp.Check{Key: key("a"), Versionstamp: []byte{1}}), "check 0"},
		"long payload":          {enqueue(&dp.Enqueue{Payload: make([]byte, kv.MaxValueSize+1)}), "65537"},
		"negative deadline":     {enqueue(&dp.Enqueue{Payload: js("x").Data, DeadlineMs: -1}), "enqueue 0"},
		"deadline far ahead":    {enqueue(&dp.Enqueue{Payload: js("x").Data, DeadlineMs: math.MaxInt64}), "enqueue 0"},
		"11 dead letter keys":   {enqueue(&dp.Enqueue{Payload: js("x").Data, KeysIfUndelivered: slices.Repeat([][]byte{key("a")}, 11)}), "11"},
		"11 backoff intervals":  {enqueue(&dp.Enqueue{Payload: js("x").Data, BackoffSchedule: make([]uint32, 11)}), "11"},
		"a long backoff":        {enqueue(&dp.Enqueue{Payload: js("x").Data, BackoffSchedule: []uint32{3_600_001}}), "3600001"},
	}
}

// What is wrong with the headers of a request is said with the status that makes clients do the right thing.
func TestBadHeaders(t *testing.T) {
	s := startServer(t)
	w := dial(t, s.url(""))
	read, err := proto.Marshal(&dp.SnapshotRead{})
	if err != nil {
		t.Fatal(err)
	}
	with := func(base http.Header, name, value string) http.Header {
		h := maps.Clone(base)
		if h.Del(name); value != "" {
			h.Set(name, value)
		}
		return h
	}
	database, data := s.url(""), w.endpoint+"/snapshot_read"
	other := dial(t, s.url("other"))
	for _, c := range []struct {
		name   string
		url    string
		header http.Header
		body   string
		status int
		words  string
	}{
		{"metadata/no token", database, with(metadataHeader(), "Authorization", ""), `{}`, 401, "Authorization"},
		{"metadata/wrong token", database, with(metadataHeader(), "Authorization", "Bearer wrong"), `{}`, 401, "token"},
		{"metadata/no JSON", database, metadataHeader(), `versions: 3`, 400, "JSON"},
		{"metadata/no version in common", database, metadataHeader(), `{"supportedVersions":[4]}`, 400, "version"},
		{"metadata/name", s.url("Orders"), metadataHeader(), ``, 404, "Orders"},
		{"metadata/long name", s.url(strings.Repeat("x", 65)), metadataHeader(), ``, 404, "64"},
		{"data/no token", data, with(w.header, "Authorization", ""), string(read), 401, "Authorization"},
		{"data/access token", data, with(w.header, "Authorization", "Bearer "+accessToken), string(read), 401, "token"},
		{"data/no database id", data, with(w.header, "X-Denokv-Database-Id", ""), string(read), 400, "database"},
		{"data/other database id", data, with(w.header, "X-Denokv-Database-Id", other.id), string(read), 403, "database"},
		{"data/version", data, with(w.header, "X-Denokv-Version", "9"), string(read), 400, "version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body, err := send(t.Context(), http.DefaultClient, c.url, c.header, []byte(c.body))
			if err != nil || status != c.status || !strings.Contains(string(body), c.words) {
				t.Errorf("got %v, %d: %s\nwant %d and the word %q", err, status, body, c.status, c.words)
			}
		})
	}
}
