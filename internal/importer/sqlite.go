package importer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // pure Go

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

// SQLite is the database file of Deno's local KV or of denokv, opened for reading.
type SQLite struct {
	db   *sql.DB
	tx   *sql.Tx // one snapshot
	path string
	size int64     // of the file, when it was opened
	time time.Time // of its last change then; zero if SQLite itself keeps the snapshot
}

// OpenSQLite opens the file. A program may have it open: what it has committed is read as of now, its write-ahead log included.
func OpenSQLite(ctx context.Context, path string) (*SQLite, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	if info.Size() > 0 && !beginsWith(path, SQLiteMagic) {
		return nil, fmt.Errorf("%s is not an SQLite database, so it is none of Deno KV", path)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	s := &SQLite{path: path, size: info.Size()}
	query := "mode=ro"
	if !inUse(path) {
		// SQLite would make files beside it otherwise, which a directory may not allow.
		query += "&immutable=1"
		s.time = info.ModTime()
	}
	s.db, err = sql.Open("sqlite", (&url.URL{Scheme: "file", Path: absolute, RawQuery: query}).String())
	if err != nil {
		return nil, err
	}
	s.db.SetMaxOpenConns(1)
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is not a database of Deno KV: %w", path, err), s.db.Close())
	}
	return s, nil
}

// SQLiteMagic is how every SQLite database begins (sqlite.org/fileformat.html).
const SQLiteMagic = "SQLite format 3\x00"

func beginsWith(path, magic string) bool {
	file, err := os.Open(path)
	if err != nil {
		return true // to say so is left to SQLite
	}
	defer file.Close()
	begin := make([]byte, len(magic))
	n, _ := io.ReadFull(file, begin)
	return string(begin[:n]) == magic
}

// inUse reports whether the file has what SQLite keeps beside one that is open, or was not closed.
func inUse(path string) bool {
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if _, err := os.Stat(path + suffix); err == nil {
			return true
		}
	}
	return false
}

// newestMigration is the version of the schema that can be read, that of Deno 2.9.
const newestMigration = 3

func (s *SQLite) begin(ctx context.Context) (err error) {
	if s.tx, err = s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}); err != nil {
		return err
	}
	var version int
	if err := s.tx.QueryRowContext(ctx, "select version from migration_state where k = 0").Scan(&version); err != nil {
		return err
	}
	switch {
	case version < newestMigration:
		return fmt.Errorf("its schema has version %d; open it once with a newer Deno, which brings it to version %d", version, newestMigration)
	case version > newestMigration:
		return fmt.Errorf("its schema has version %d; this millpond knows versions up to %d, run a newer one", version, newestMigration)
	}
	return nil
}

// Count returns how many items the file has.
func (s *SQLite) Count(ctx context.Context) (n int, err error) {
	err = s.tx.QueryRowContext(ctx, "select (select count(*) from kv) + (select count(*) from queue) + (select count(*) from queue_running)").Scan(&n)
	return n, err
}

// Close ends the reading. The file is as it was.
func (s *SQLite) Close() error {
	err := s.tx.Rollback()
	if errors.Is(err, sql.ErrTxDone) { // its context has ended
		err = nil
	}
	return errors.Join(err, s.db.Close())
}

// Source returns the entries in the order of their keys, then the messages.
func (s *SQLite) Source(ctx context.Context) Source {
	return func(yield func(Item, error) bool) {
		parts := []func(context.Context, func(Item) bool) (bool, error){s.entries, s.messages}
		for _, part := range parts {
			more, err := part(ctx, func(item Item) bool { return yield(item, nil) })
			if err != nil {
				yield(Item{}, fmt.Errorf("read %s: %w", s.path, err))
			}
			if err != nil || !more {
				return
			}
		}
		if err := s.unchanged(); err != nil {
			yield(Item{}, err)
		}
	}
}

// unchanged makes sure that a file which nobody had open has not been opened meanwhile: it was read without locks.
func (s *SQLite) unchanged() error {
	if s.time.IsZero() {
		return nil
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	if inUse(s.path) || info.Size() != s.size || !info.ModTime().Equal(s.time) {
		return fmt.Errorf("%s was opened by another program while it was read, so what was read may be neither old nor new; "+
			"stop that program and import again", s.path)
	}
	return nil
}

func (s *SQLite) entries(ctx context.Context, yield func(Item) bool) (more bool, err error) {
	rows, err := s.tx.QueryContext(ctx, "select k, v, v_encoding, expiration_ms from kv order by k")
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		var key, data []byte
		var encoding, expiry int64
		if err := rows.Scan(&key, &data, &encoding, &expiry); err != nil {
			return false, err
		}
		if !yield(sqliteEntry(kv.EncodedKey(key), data, encoding, expiry)) {
			return false, nil
		}
	}
	return true, rows.Err()
}

func sqliteEntry(encoded kv.EncodedKey, data []byte, encoding, expiry int64) Item {
	key, err := encoded.Decode()
	switch {
	case err != nil:
		return Item{Name: encoded.String(), Problem: fmt.Errorf("the key cannot be read: %w", err)}
	case encoding < int64(kv.EncodingV8) || encoding > int64(kv.EncodingBytes):
		return Item{Name: key.String(), Problem: fmt.Errorf("the value has the unknown encoding %d", encoding)}
	}
	e := &client.RawEntry{Key: key, Value: kv.Value{Encoding: kv.Encoding(encoding), Data: data}}
	if expiry > 0 { // -1: never
		e.ExpireAt = kv.Millis(expiry)
	}
	return Item{Name: key.String(), Entry: e}
}

// messages yields the messages that wait, and those that were being delivered, which are due again.
func (s *SQLite) messages(ctx context.Context, yield func(Item) bool) (more bool, err error) {
	rows, err := s.tx.QueryContext(ctx, `select ts, id, data, backoff_schedule, keys_if_undelivered from queue
		union all select 0, id, data, backoff_schedule, keys_if_undelivered from queue_running`)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		var due int64
		var id, backoff string
		var data, undelivered []byte
		if err := rows.Scan(&due, &id, &data, &backoff, &undelivered); err != nil {
			return false, err
		}
		item := Item{Name: "message " + id}
		m := &Message{ID: id, Payload: kv.Value{Encoding: kv.EncodingV8, Data: data}, Due: kv.Millis(due)}
		if item.Problem = m.parse(backoff, undelivered); item.Problem == nil {
			item.Message = m
		}
		if !yield(item) {
			return false, nil
		}
	}
	return true, rows.Err()
}

// parse reads the two columns that have JSON: milliseconds, and keys as arrays of bytes.
func (m *Message) parse(backoff string, undelivered []byte) error {
	var pauses []uint32
	if err := json.Unmarshal([]byte(backoff), &pauses); err != nil {
		return fmt.Errorf("its backoff schedule cannot be read: %w", err)
	}
	for _, ms := range pauses {
		m.Backoff = append(m.Backoff, time.Duration(ms)*time.Millisecond)
	}
	var keys [][]uint16 // []byte would be base64
	if err := json.Unmarshal(undelivered, &keys); err != nil {
		return fmt.Errorf("its keys for the case that it is not delivered cannot be read: %w", err)
	}
	for _, numbers := range keys {
		encoded := make([]byte, len(numbers))
		for i, n := range numbers {
			encoded[i] = byte(n)
		}
		key, err := kv.EncodedKey(encoded).Decode()
		if err != nil {
			return fmt.Errorf("its keys for the case that it is not delivered cannot be read: %w", err)
		}
		m.KeysIfUndelivered = append(m.KeysIfUndelivered, key)
	}
	return nil
}
