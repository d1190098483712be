package client_test

import (
	"encoding/binary"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect/datapath"
)

// frame returns out as a frame of a watch.
func frame(t *testing.T, out *datapath.WatchOutput) []byte {
	t.Helper()
	b, err := proto.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// present is the output for a key that has an entry, written by the commit at position p.
func present(p kv.Position) *datapath.WatchKeyOutput {
	v := kv.NewVersionstamp(p, 0)
	entry := &datapath.KvEntry{Key: []byte(kv.Key{"a"}.MustEncode()), Value: []byte("x"), Encoding: datapath.ValueEncoding_VE_BYTES, Versionstamp: v[:]}
	return &datapath.WatchKeyOutput{Changed: true, EntryIfChanged: entry}
}

func output(keys ...*datapath.WatchKeyOutput) *datapath.WatchOutput {
	return &datapath.WatchOutput{Status: datapath.SnapshotReadStatus_SR_SUCCESS, Keys: keys}
}

// A watch shows what is there, then what changes, and no state twice, not even after a lost connection.
func TestWatch(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			db, server := open(t, client.WithHTTPClient(p.http))
			a, b := kv.Key{"a"}, kv.Key{"b"}
			set(t, db, a, "1")
			step := 0
			var got [][]string
			for entries, err := range db.Watch(t.Context(), a, b) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, []string{string(entries[0].Value.Data), string(entries[1].Value.Data)})
				if !cmp.Equal(entries[1].Key, b) {
					t.Errorf("the second key is %v", entries[1].Key)
				}
				step++
				switch step {
				case 1:
					set(t, db, b, "2")
				case 2:
					server.CutConnections()
					other := openAt(t, server.URL) // the old connections may be used before they are known to be cut
					set(t, other, kv.Key{"c"}, "not watched")
					if err := other.Delete(t.Context(), a); err != nil {
						t.Fatal(err)
					}
				}
				if step == 3 {
					break
				}
			}
			if diff := cmp.Diff([][]string{{"1", ""}, {"1", "2"}, {"", "2"}}, got); diff != "" {
				t.Error("states (-want +got):\n" + diff)
			}
		})
	}
}

// Keys that a frame leaves out as unchanged keep their entries, and a frame without any news is not shown.
func TestWatchUnchanged(t *testing.T) {
	db, server := open(t)
	unchanged := &datapath.WatchKeyOutput{}
	breakRequests(server, "/watch", -1, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(frame(t, output(present(1), present(2))))
		w.Write([]byte{0, 0, 0, 0})                       // a ping
		w.Write(frame(t, output(present(1), present(2)))) // as after a new connection
		w.Write(frame(t, output(present(3), unchanged)))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	var got []kv.Position
	for entries, err := range db.Watch(t.Context(), kv.Key{"a"}, kv.Key{"a"}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, entries[0].Versionstamp.Position(), entries[1].Versionstamp.Position())
		if len(got) == 4 {
			break
		}
	}
	if diff := cmp.Diff([]kv.Position{1, 2, 3, 2}, got); diff != "" {
		t.Error("positions (-want +got):\n" + diff)
	}
}

// What a server may do wrong once, a watch outlives.
func TestWatchReconnects(t *testing.T) {
	stream := func(bytes ...byte) http.HandlerFunc { return garbage("application/octet-stream", string(bytes)) }
	for name, answer := range map[string]http.HandlerFunc{
		"no answer":         drop,
		"500":               status(500, "oops"),
		"503":               status(503, "later"),
		"401":               status(401, "expired"),
		"an empty stream":   stream(),
		"half a length":     stream(1, 0),
		"half a frame":      stream(9, 0, 0, 0, 8),
		"a ping, then cut":  stream(0, 0, 0, 0),
		"reads disabled":    stream(2, 0, 0, 0, 8, 2),
		"cut in the middle": cutStream,
	} {
		t.Run(name, func(t *testing.T) {
			db, server := open(t)
			breakRequests(server, "/watch", 1, answer)
			for entries, err := range db.Watch(t.Context(), kv.Key{"a"}) {
				if err != nil || entries[0].Exists() {
					t.Errorf("%v, %v, want an absent key", entries, err)
				}
				break
			}
			if n := server.Requests("/watch"); n != 2 {
				t.Errorf("%d requests, want 2", n)
			}
		})
	}
}

func cutStream(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Write([]byte{0, 0, 0, 0, 200, 0})
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// What will not go away ends the watch with an error.
func TestWatchFaults(t *testing.T) {
	stream := func(b []byte) http.HandlerFunc { return garbage("application/octet-stream", string(b)) }
	zero := present(0)
	short := present(1)
	short.EntryIfChanged.Versionstamp = []byte{1}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		kind   error
	}{
		{"400", status(400, "too many keys"), kv.ErrInvalid},
		{"401", status(401, "no"), kv.ErrUnauthorized},
		{"404", status(404, "gone"), kv.ErrNoDatabase},
		{"another content type", garbage(protobuf, ""), nil},
		{"a frame of 4 GB", stream([]byte{255, 255, 255, 255}), nil},
		{"not protobuf", stream([]byte{1, 0, 0, 0, 255}), nil},
		{"too few keys", stream(frame(t, output())), nil},
		{"too many keys", stream(frame(t, output(present(1), present(1)))), nil},
		{"nothing known yet", stream(frame(t, output(&datapath.WatchKeyOutput{}))), nil},
		{"versionstamp zero", stream(frame(t, output(zero))), nil},
		{"a short versionstamp", stream(frame(t, output(short))), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			db, server := open(t)
			breakRequests(server, "/watch", -1, test.answer)
			errs := 0
			for entries, err := range db.Watch(t.Context(), kv.Key{"a"}) {
				checkKind(t, err, test.kind)
				if entries != nil {
					t.Errorf("entries: %v", entries)
				}
				errs++
			}
			if errs != 1 {
				t.Errorf("%d errors, want 1", errs)
			}
		})
	}
}

// A key that cannot be encoded is an error before anything is sent.
func TestWatchBadKey(t *testing.T) {
	db, server := open(t)
	for _, err := range db.Watch(t.Context(), kv.Key{nil}) {
		checkKind(t, err, kv.ErrInvalid)
	}
	if n := server.Requests("/watch"); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}
