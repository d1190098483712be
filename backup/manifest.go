package backup

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

const manifestFormat = 1

// The kinds of parts.
const (
	KindFull    = "full"
	KindSegment = "segment"
)

// Manifest describes a part. A part counts from the moment that its manifest is stored.
type Manifest struct {
	Format     int       `json:"format"`
	Kind       string    `json:"kind"`
	ID         ulid.ULID `json:"id"`
	Line       ulid.ULID `json:"line"` // the id of the full part with which its line began
	Database   string    `json:"database"`
	DatabaseID string    `json:"databaseId"`
	Start      *Place    `json:"start,omitempty"` // of a segment: the place after which it begins
	End        Place     `json:"end"`             // the last place that the part has
	Messages   int       `json:"messages,omitempty"`
	Commits    int       `json:"commits,omitempty"` // of those messages that count
	Plain      Sum       `json:"plain"`             // of the contents
	Stored     Sum       `json:"stored"`            // of the part as it is stored: compressed, perhaps encrypted
	Encrypted  bool      `json:"encrypted,omitempty"`
	Made       time.Time `json:"made"`
}

// Sum is the size and the SHA-256 of some bytes.
type Sum struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Place is an events.Chain in JSON: how far a log has been read.
type Place struct {
	Applied kv.Position `json:"applied"`
	Epoch   kv.Position `json:"epoch"`
	Writer  ulid.ULID   `json:"writer"`
	Counted kv.Position `json:"counted"`
	Hash    string      `json:"hash"`
	Time    kv.Millis   `json:"time"`
	Lease   int64       `json:"lease,omitempty"` // milliseconds
}

// PlaceOf returns the place of a chain.
func PlaceOf(c events.Chain) Place {
	return Place{Applied: c.Applied, Epoch: c.Epoch, Writer: c.Writer, Counted: c.Counted, Hash: hex.EncodeToString(c.Hash[:]), Time: c.Time, Lease: c.Lease.Milliseconds()}
}

// Chain is the inverse of PlaceOf. What is no hash becomes one that no record has.
func (p Place) Chain() events.Chain {
	c := events.Chain{Applied: p.Applied, Epoch: p.Epoch, Writer: p.Writer, Counted: p.Counted, Time: p.Time, Lease: time.Duration(p.Lease) * time.Millisecond}
	hash, _ := hex.DecodeString(p.Hash)
	copy(c.Hash[:], hash)
	return c
}

// The name of a part says what it is, for people; nothing is read from it.
const (
	partSuffix     = ".part"
	manifestSuffix = ".json"
)

func (m *Manifest) base() string {
	if m.Kind == KindFull {
		return "full-" + m.ID.String() // its position is known only when all of it is written
	}
	return fmt.Sprintf("log-%020d-%020d-%s", uint64(m.Start.Applied+1), uint64(m.End.Applied), m.ID)
}

// encode returns the manifest as a line of JSON, and a line with the SHA-256 of that.
func (m *Manifest) encode() ([]byte, error) {
	line, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	line = append(line, '\n')
	sum := sha256.Sum256(line)
	return append(line, hex.EncodeToString(sum[:])+"\n"...), nil
}

// decodeManifest is the inverse of encode. It fails with ErrDamaged, also if the manifest stands under another name than its own.
func decodeManifest(name string, data []byte) (*Manifest, error) {
	line, rest, _ := bytes.Cut(data, []byte("\n"))
	sum := sha256.Sum256(append(line[:len(line):len(line)], '\n'))
	if string(rest) != hex.EncodeToString(sum[:])+"\n" {
		return nil, fmt.Errorf("%w: the manifest %s does not match its checksum", ErrDamaged, name)
	}
	var m Manifest
	if err := json.Unmarshal(line, &m); err != nil {
		return nil, fmt.Errorf("%w: the manifest %s: %w", ErrDamaged, name, err)
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("the manifest %s has the format %d, this Millpond knows %d; run a newer one", name, m.Format, manifestFormat)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%w: the manifest %s: %w", ErrDamaged, name, err)
	}
	if want := m.base() + manifestSuffix; !strings.HasSuffix(name, "/"+want) {
		return nil, fmt.Errorf("%w: the manifest %s was stored as %s", ErrDamaged, name, want)
	}
	return &m, nil
}

func (m *Manifest) check() error {
	switch {
	case m.Kind != KindFull && m.Kind != KindSegment || (m.Kind == KindSegment) != (m.Start != nil):
		return fmt.Errorf("its kind %q does not fit", m.Kind)
	case m.Start != nil && m.Start.Applied >= m.End.Applied:
		return fmt.Errorf("it begins at %d and ends at %d", m.Start.Applied, m.End.Applied)
	}
	return cmp.Or(m.End.check(), m.Start.check())
}

func (p *Place) check() error {
	if p == nil {
		return nil
	}
	if b, err := hex.DecodeString(p.Hash); err != nil || len(b) != len(events.Hash{}) {
		return fmt.Errorf("%q is no hash", p.Hash)
	}
	return nil
}
