package databases_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/internal/databases"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
)

const window = time.Hour

// steps are those of a deletion, in their order.
var steps = []string{"note", "close", "keep", "keep messages", "kept", "remove queue", "remove log"}

// gone waits until the reader has let a database go: it is not there for anybody, and nobody makes it anew by using it.
func (r *rig) gone(name string) {
	r.t.Helper()
	for deadline := time.Now().Add(wait); ; {
		_, err := r.reader.Database(r.t.Context(), name, true)
		if errors.Is(err, kv.ErrNoDatabase) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%q is there: %v", name, err)
		}
	}
}

// back waits until the reader has a database with that UUID no more.
func (r *rig) back(name, before string) {
	r.t.Helper()
	for deadline := time.Now().Add(wait); ; {
		db, err := r.reader.Database(r.t.Context(), name, false)
		if err == nil && db.ID() != before {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%q is not there: %v", name, err)
		}
	}
}

// A deletion that is killed before any of its steps, and begun again, ends with the database gone; undelete has it back with its
// entries and messages. Meanwhile a program goes on to write.
func TestDeleteKilledAtEveryStep(t *testing.T) {
	r := newRig(t)
	for _, step := range append(steps, "") {
		_, wanted, abandoned := r.fill()
		db := r.database("orders", false)
		before := db.ID()
		kept := r.set(db, "kept", "first")
		if step != "" {
			if _, err := r.killedAt(step).Delete(t.Context(), "orders", window); !errors.Is(err, errKilled) {
				t.Fatalf("%s: %v; want it to be killed", step, err)
			}
		}
		d := r.open()
		if _, err := d.Delete(t.Context(), "orders", window); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		r.gone("orders")
		if _, err := d.Delete(t.Context(), "orders", window); !errors.Is(err, kv.ErrNoDatabase) {
			t.Errorf("%s: deleted twice: %v; want ErrNoDatabase", step, err)
		}
		list, err := d.Deleted(t.Context(), "orders")
		if err != nil || len(list) != 1 || list[0].ID != before || list[0].Messages != 3 || list[0].Until.Sub(list[0].Deleted) != window {
			t.Fatalf("%s: deleted %+v, %v", step, list, err)
		}
		if _, err := d.Undelete(t.Context(), "orders", "", "orders"); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		r.back("orders", before)
		if got := r.messages("orders", 2); got[0] != "now" || got[1] != "too late" {
			t.Errorf("%s: the messages %q", step, got)
		}
		found := r.entries(r.database("orders", false))
		if len(found) != 2 || found[0].Versionstamp != kept {
			t.Errorf("%s: the entries %v", step, found)
		}
		_, _ = wanted, abandoned
		if _, err := d.Delete(t.Context(), "orders", 0); err != nil { // the next round begins anew
			t.Fatal(err)
		}
		r.gone("orders")
		if err := d.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Undelete turns back a deletion that has not come far, and goes on with one that has.
func TestUndeleteOfUnfinished(t *testing.T) {
	r := newRig(t)
	r.fill()
	for _, step := range steps[1:] {
		if _, err := r.killedAt(step).Delete(t.Context(), "orders", window); !errors.Is(err, errKilled) {
			t.Fatalf("%s: %v; want it to be killed", step, err)
		}
		r.killedAt("reopen").Undelete(t.Context(), "orders", "", "orders")
		if _, err := r.open().Undelete(t.Context(), "orders", "", "orders"); err != nil && !errors.Is(err, kv.ErrNoDatabase) {
			t.Fatalf("%s: %v", step, err)
		}
		for deadline := time.Now().Add(wait); ; {
			db, err := r.reader.Database(t.Context(), "orders", false)
			if err == nil {
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				_, err = db.Commit(ctx, &kv.Atomic{Mutations: []kv.Mutation{set("after", step)}})
				cancel()
			}
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", step, err)
			}
		}
	}
	r.stats("orders", func(s kv.QueueStats) bool { return s.Scheduled == 1 && s.Waiting == 2 })
}

// Rename moves all that a database has, refuses a name that is taken, and goes on after a kill.
func TestRenameKilledAtEveryStep(t *testing.T) {
	r := newRig(t)
	_, wanted, abandoned := r.fill()
	r.database("taken", true)
	d := r.open()
	if err := d.Rename(t.Context(), "orders", "taken", window); !errors.Is(err, backup.ErrDatabaseExists) {
		t.Errorf("renamed to a name that is taken: %v", err)
	}
	if err := d.Rename(t.Context(), "nothing", "new", window); !errors.Is(err, kv.ErrNoDatabase) {
		t.Errorf("renamed what is not there: %v", err)
	}
	_, _ = wanted, abandoned
	name := "orders"
	for _, step := range append(steps, "revive", "begin", "store", "messages", "log", "forget", "") {
		as := name + "x"
		if step != "" {
			if err := r.killedAt(step).Rename(t.Context(), name, as, window); !errors.Is(err, errKilled) {
				t.Fatalf("%s: %v; want it to be killed", step, err)
			}
		}
		if err := r.open().Rename(t.Context(), name, as, window); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		if _, err := r.reader.Database(t.Context(), as, false); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		name = as
	}
	if found := r.entries(r.database(name, false)); len(found) != 2 || string(found[0].Value.Data) != "mistake" {
		t.Errorf("the entries %v", found)
	}
	r.stats(name, func(s kv.QueueStats) bool { return s.Scheduled == 1 && s.Waiting == 2 })
	if list, err := d.Deleted(t.Context(), ""); err != nil || len(list) > 0 {
		t.Errorf("renamed databases are kept as deleted: %+v, %v", list, err)
	}
}

// What is kept of a deleted database goes away when its time has come, and not before.
func TestPrune(t *testing.T) {
	r := newRig(t)
	r.fill()
	now := time.Now()
	conn := r.connect()
	d, err := databases.Open(t.Context(), conn, databases.Config{Replicas: 1, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Delete(t.Context(), "orders", window); err != nil {
		t.Fatal(err)
	}
	kept := func() int {
		t.Helper()
		if err := d.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, err := d.Deleted(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	now = now.Add(window - time.Minute)
	if n := kept(); n != 1 {
		t.Errorf("%d are kept; want it to be there yet", n)
	}
	now = now.Add(2 * time.Minute)
	if n := kept(); n != 0 {
		t.Errorf("%d are kept; want none", n)
	}
	if _, err := d.Undelete(t.Context(), "orders", "", "orders"); !errors.Is(err, kv.ErrNoDatabase) {
		t.Errorf("undelete: %v; want ErrNoDatabase", err)
	}
	now = now.Add(2 * time.Hour)
	kept()
	if notes, err := d.Notes(t.Context()); err != nil || len(notes) > 0 {
		t.Errorf("the notes %v are left, %v", notes, err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.Stream(t.Context(), "OBJ_millpond_checkpoints")
	if err != nil {
		t.Fatal(err)
	}
	if n := bucket.CachedInfo().State.Msgs; n != 0 {
		t.Errorf("%d messages are left in the bucket", n)
	}
}
