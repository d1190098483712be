package s3_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/backup/blobtest"
	"github.com/millpondkv/millpond/backup/s3"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/recovery"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
)

// store is an object store in this process, which the test can make worse.
func store(t *testing.T, worse func(http.Handler) http.Handler) *s3.Blob {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(worse(gofakes3.New(backend).Server()))
	t.Cleanup(server.Close)
	blob, err := s3.New(s3.Config{Endpoint: server.URL, Region: "us-east-1", AccessKey: "key", SecretKey: "secret", Bucket: "bucket", Prefix: "some/where", Transport: server.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

func asItIs(h http.Handler) http.Handler { return h }

func TestBlob(t *testing.T) {
	blobtest.TestBlob(t, func(t *testing.T) backup.Blob { return store(t, asItIs) })
}

// each has every n-th request of the methods go wrong.
func each(n int64, methods string, wrong func(w http.ResponseWriter, r *http.Request, h http.Handler)) func(http.Handler) http.Handler {
	var count atomic.Int64
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(methods, r.Method) && count.Add(1)%n == 0 {
				wrong(w, r, h)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
}

// A store that fails now and then, answers late, does not answer what it has done, or loses the connection in the middle of an object
// keeps what is put there, and gives it back.
func TestFaults(t *testing.T) {
	for name, worse := range map[string]func(http.Handler) http.Handler{
		"unavailable": each(3, "GET PUT DELETE", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}),
		"slow": each(1, "GET PUT", func(w http.ResponseWriter, r *http.Request, h http.Handler) {
			select {
			case <-time.After(30 * time.Millisecond):
			case <-r.Context().Done():
			}
			h.ServeHTTP(w, r)
		}),
		"the answer is lost": each(3, "PUT", func(w http.ResponseWriter, r *http.Request, h http.Handler) {
			h.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}),
		"the connection is lost": each(2, "GET", func(w http.ResponseWriter, r *http.Request, h http.Handler) {
			h.ServeHTTP(&dropping{ResponseWriter: w, left: 10_000}, r)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blob := store(t, worse)
			for i := range 6 {
				name, data := fmt.Sprintf("d/%d", i), bytes.Repeat([]byte{byte(i)}, 1+i*20_000)
				if err := blob.Put(t.Context(), name, bytes.NewReader(data)); err != nil {
					t.Fatalf("Put %d: %v", i, err)
				}
				file, err := blob.Get(t.Context(), name)
				if err != nil {
					t.Fatalf("Get %d: %v", i, err)
				}
				got, err := io.ReadAll(file)
				file.Close()
				if err != nil || !bytes.Equal(got, data) {
					t.Fatalf("object %d: %d bytes, %v; want %d", i, len(got), err, len(data))
				}
			}
			if names, err := blob.List(t.Context(), "d/"); err != nil || len(names) != 6 {
				t.Errorf("List: %q, %v", names, err)
			}
		})
	}
}

// dropping loses the connection after so many bytes.
type dropping struct {
	http.ResponseWriter
	left int
}

func (d *dropping) Write(b []byte) (int, error) {
	if len(b) > d.left {
		d.ResponseWriter.Write(b[:d.left])
		d.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	d.left -= len(b)
	return d.ResponseWriter.Write(b)
}

// An object that is larger than a part of a multipart upload comes back whole.
func TestLarge(t *testing.T) {
	blob := store(t, asItIs)
	data := bytes.Repeat([]byte("0123456789abcde\n"), 2<<20) // 32 MiB
	if err := blob.Put(t.Context(), "d/large", io.MultiReader(bytes.NewReader(data))); err != nil {
		t.Fatal(err)
	}
	file, err := blob.Get(t.Context(), "d/large")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got, err := io.ReadAll(file); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes, %v; want %d", len(got), err, len(data))
	}
}

// An archive in a store that has several faults at once is whole, and restored from.
func TestArchive(t *testing.T) {
	blob := store(t, each(4, "GET PUT", func(w http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.Method == http.MethodGet {
			h.ServeHTTP(&dropping{ResponseWriter: w, left: 100}, r)
			return
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}))
	a := backup.Open(backup.Config{Blob: blob, Database: "d", ReadState: recovery.ReadState, Now: time.Now, NewID: recovery.NewID(), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	log := &events.MemoryLog{}
	end := kv.Position(20)
	appendRecords(t, log, int(end))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := a.Run(ctx, source{log}, backup.RunConfig{Every: time.Millisecond, Bytes: 1, Merge: 1000, Retry: time.Millisecond, Archived: func(at kv.Position) {
		if at >= end {
			cancel()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	r, err := a.Restore(t.Context(), backup.Target{}, "d", nil)
	if err != nil || r.Position != end || r.Entries != 19 {
		t.Errorf("restored: %+v, %v; want position %d and 19 entries", r, err, end)
	}
}

func appendRecords(t *testing.T, log events.Log, n int) {
	t.Helper()
	var chain events.Chain
	for i := range n {
		r := &events.Record{Kind: events.KindCommits, Epoch: chain.Epoch, Previous: chain.Hash, Time: kv.Millis(i + 1)}
		if i == 0 {
			r.Kind, r.Writer = events.KindEpoch, [16]byte{1}
		} else {
			value := kv.Value{Encoding: kv.EncodingBytes, Data: bytes.Repeat([]byte{byte(i)}, 50)}
			r.Commits = []events.Commit{{Effects: []events.Effect{{Key: kv.Key{i}.MustEncode(), Value: value}}}}
		}
		s, data := events.Seal(kv.Position(i+1), r)
		if _, err := log.Append(t.Context(), events.Append{Kind: r.Kind, Data: data, Last: chain.Applied, Epoch: chain.Epoch}); err != nil {
			t.Fatal(err)
		}
		if _, err := chain.Accept(s); err != nil {
			t.Fatal(err)
		}
	}
}

// source is a database whose state at the start is archived first, so that all of its log becomes segments.
type source struct{ *events.MemoryLog }

func (s source) ID() string { return "id" }

func (s source) WriteCheckpoint(ctx context.Context, w io.Writer) (events.Chain, error) {
	p := projection.New(projection.Options{})
	defer p.Close()
	return p.WriteCheckpoint(ctx, w, s.ID())
}
