package serve_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/recovery"
	"github.com/millpondkv/millpond/internal/serve"
	"github.com/millpondkv/millpond/kv"
)

// Every database is archived, also one that is made while the server runs and one in memory; and when the server has stopped, the
// archives have all that was answered.
func TestBackupTo(t *testing.T) {
	const token = "a-secret-of-mine"
	for name, c := range map[string]serve.Config{"disk": {Data: t.TempDir()}, "memory": {Memory: true}} {
		t.Run(name, func(t *testing.T) {
			c.AccessToken, c.BackupTo = token, t.TempDir()
			s := start(t, c)
			put(t, s, token)
			putInto(t, s.url+"/other", token)
			archive := func(database string) *backup.Archive {
				return backup.Open(backup.Config{Blob: backup.NewDirectory(c.BackupTo), Database: database, ReadState: recovery.ReadState, Now: time.Now})
			}
			for deadline := time.Now().Add(time.Minute); ; {
				if catalog, err := archive("other").Catalog(t.Context()); err == nil && len(catalog.Lines) > 0 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("a database that was made while the server ran is not archived")
				}
			}
			putInto(t, s.url+"/other", token)
			if err := s.stop(); err != nil {
				t.Fatal(err)
			}
			for _, database := range []string{"default", "other"} {
				if _, err := archive(database).Verify(t.Context()); err != nil {
					t.Error(err)
				}
				if r, err := archive(database).Restore(t.Context(), backup.Target{}, database, nil); err != nil || r.Entries != 1 {
					t.Errorf("%s: %+v, %v; want its entry", database, r, err)
				}
			}
		})
	}
}

func putInto(t *testing.T, url, token string) {
	t.Helper()
	db, err := client.Open(t.Context(), url, client.WithAccessToken(token))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	value := kv.Value{Encoding: kv.EncodingBytes, Data: []byte(strings.Repeat("v", 10))}
	if _, err := db.Set(t.Context(), kv.Key{"k"}, value); err != nil {
		t.Fatal(err)
	}
}
