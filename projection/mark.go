package projection

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/syncfile"
	"github.com/millpondkv/millpond/kv"
)

const markFile = "mark"

// mark is the form of the file: a place in the log, and what stands there.
type mark struct {
	Applied kv.Position `json:"applied"`
	Counted kv.Position `json:"counted"`
	Hash    string      `json:"hash"`
}

// Mark notes how far the log has come, synced to disk. It is a witness: should the log be shorter one day, or say something
// else there, then it has lost what was acked.
func (s *Store) Mark(c events.Chain) error {
	data, err := json.Marshal(mark{Applied: c.Applied, Counted: c.Counted, Hash: hex.EncodeToString(c.Hash[:])})
	if err == nil {
		err = syncfile.Write(filepath.Join(s.dir, markFile), append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("mark the end of the log: %w", err)
	}
	return nil
}

// LastMark returns the place that was marked last: of the chain, the fields Applied, Counted and Hash. It is zero if there is
// none.
func (s *Store) LastMark() (c events.Chain, err error) {
	data, err := os.ReadFile(filepath.Join(s.dir, markFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	var m mark
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	hash, hexErr := hex.DecodeString(m.Hash)
	if err = errors.Join(err, hexErr); err == nil && len(hash) != len(c.Hash) {
		err = errors.New("its hash has another length")
	}
	if err != nil {
		return c, fmt.Errorf("read the mark %s: %w; if it is damaged delete it, then the end of the log is taken as it is", filepath.Join(s.dir, markFile), err)
	}
	return events.Chain{Applied: m.Applied, Counted: m.Counted, Hash: events.Hash(hash)}, nil
}
