package backup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millpondkv/millpond/backup"
)

// What a kill leaves of a file that was being stored is cleared away by a prune, after a day.
func TestUnfinishedFiles(t *testing.T) {
	root := t.TempDir()
	d := backup.NewDirectory(root)
	if err := d.Put(t.Context(), "d/whole", strings.NewReader("whole")); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(root, "d", ".unfinished-123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if names, err := d.List(t.Context(), ""); err != nil || len(names) != 1 {
		t.Errorf("List: %q, %v; want what is whole", names, err)
	}
	for _, later := range []time.Duration{time.Hour, 25 * time.Hour} {
		a := archive(t, d, func(c *backup.Config) { c.Now = func() time.Time { return time.Now().Add(later) } })
		if _, err := a.Prune(t.Context(), time.Hour, false); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(left); (err == nil) != (later < 24*time.Hour) {
			t.Errorf("%v later: %v", later, err)
		}
	}
	if names, err := d.List(t.Context(), ""); err != nil || len(names) != 1 {
		t.Errorf("List: %q, %v; want what is whole", names, err)
	}
}
