package events

import (
	"encoding/binary"
	"encoding/hex"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

var writeGolden = flag.Bool("golden", false, "write the golden files that are not there yet")

func golden() *Record {
	stamp := ulid.MustParse("01JDC7Q8ZK3N5R6T8V9W0X1Y2Z")
	return &Record{
		Kind: KindCommits, Epoch: 7, Previous: Hash{1, 2, 3}, Time: 1_790_000_000_123,
		Commits: []Commit{
			{ID: stamp, Effects: []Effect{
				{Key: kv.Key{"users", "alice"}.MustEncode(), Value: kv.Value{Encoding: kv.EncodingV8, Data: []byte("\xff\x0fI\x02")}},
				{Key: kv.Key{"n", 1}.MustEncode(), Value: kv.Value{Encoding: kv.EncodingLE64, Data: make([]byte, 8)}, ExpireAt: 1_790_000_001_000},
				{Key: kv.Key{"gone"}.MustEncode(), Delete: true},
			}},
			{ID: stamp},
			{ID: stamp, Enqueues: []kv.Enqueue{
				{Payload: []byte("\xff\x0fT"), Deadline: 1_790_000_002_000, KeysIfUndelivered: []kv.EncodedKey{kv.Key{"dead"}.MustEncode()}, BackoffSchedule: []uint32{100, 1000}},
				{Payload: []byte("\xff\x0fF"), BackoffSchedule: []uint32{}},
				{Payload: []byte("\xff\x0f0")},
			}},
		},
	}
}

// leased is an epoch record with all that format 2 has.
func leased() *Record {
	return &Record{
		Kind: KindEpoch, Epoch: 7, Previous: Hash{1, 2, 3}, Time: 1_790_000_000_123,
		Writer: ulid.MustParse("01JDC7Q8ZK3N5R6T8V9W0X1Y2Z"), Lease: 2500 * time.Millisecond,
	}
}

// What an earlier version wrote is read, and the current version writes the same bytes. A golden file is never changed:
// a new format gets a new one.
func TestGolden(t *testing.T) {
	for file, record := range map[string]*Record{"record-v1.hex": golden(), "record-v2.hex": leased()} {
		t.Run(file, func(t *testing.T) {
			file := filepath.Join("testdata", file)
			if *writeGolden {
				writeNew(t, file, record)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.TrimSpace(string(text))
			if got := hex.EncodeToString(record.Encode()); got != want {
				t.Errorf("the record encodes as\n%s; want\n%s", got, want)
			}
			data, err := hex.DecodeString(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, record, sameRecord); diff != "" {
				t.Errorf("got (-), want (+):\n%s", diff)
			}
		})
	}
}

// writeNew writes a golden file that is not there yet.
func writeNew(t *testing.T, file string, r *Record) {
	t.Helper()
	if _, err := os.Stat(file); err == nil {
		return
	}
	if err := os.WriteFile(file, []byte(hex.EncodeToString(r.Encode())+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// reseal puts the right checksum at the end of data.
func reseal(data []byte) []byte {
	body := data[:len(data)-checksumSize]
	return binary.BigEndian.AppendUint32(body, crc32.Checksum(body, castagnoli))
}
