package databases_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/kv"
)

// fill makes the database "orders" with a history, and its archive. It returns the versionstamp of the moment that is wanted again, and
// those of what came after it.
func (r *rig) fill() (a *backup.Archive, wanted kv.Versionstamp, abandoned []kv.Versionstamp) {
	r.t.Helper()
	db := r.database("orders", true)
	r.set(db, "kept", "before")
	a = r.archive("orders")
	gone := set("gone", "soon")
	gone.ExpireAt = kv.MillisOf(time.Now()) + 50
	stays := set("stays", "for an hour")
	stays.ExpireAt = kv.MillisOf(time.Now()) + 3_600_000
	r.commit(db, &kv.Atomic{Mutations: []kv.Mutation{gone, stays}})
	r.commit(db, &kv.Atomic{Enqueues: []kv.Enqueue{
		{Payload: []byte("now")}, {Payload: []byte("in an hour"), Deadline: kv.MillisOf(time.Now()) + 3_600_000, BackoffSchedule: []uint32{7}, KeysIfUndelivered: []kv.EncodedKey{key("failed")}},
	}})
	wanted = r.set(db, "kept", "first")
	for range 5 {
		abandoned = append(abandoned, r.set(db, "kept", "mistake"))
	}
	r.commit(db, &kv.Atomic{Enqueues: []kv.Enqueue{{Payload: []byte("too late")}}})
	r.follow(a)
	return a, wanted, abandoned
}

// judge looks whether a database is as "orders" was at the moment that is wanted.
func (r *rig) judge(name string, wanted kv.Versionstamp, abandoned []kv.Versionstamp) {
	r.t.Helper()
	db := r.database(name, false)
	var got []string
	for _, e := range r.entries(db) {
		got = append(got, string(e.Value.Data))
		if string(e.Value.Data) == "first" && e.Versionstamp != wanted {
			r.t.Errorf("%s: the versionstamp is %s; want %s", name, e.Versionstamp, wanted)
		}
	}
	if diff := cmp.Diff([]string{"first", "for an hour"}, got); diff != "" {
		r.t.Errorf("%s: entries (-want +got):\n%s", name, diff)
	}
	if got := r.messages(name, 1); got[0] != "now" {
		r.t.Errorf("%s: the message %q; want now", name, got[0])
	}
	r.stats(name, func(s kv.QueueStats) bool { return s.Scheduled == 1 && s.Waiting == 0 && s.Dead == 0 })
	new := r.set(db, "new", "value")
	for _, stamp := range abandoned {
		if !stamp.Before(new) {
			r.t.Errorf("%s: the new versionstamp %s is not beyond %s", name, new, stamp)
		}
		for _, k := range []string{"kept", "new"} {
			result := r.commit(db, &kv.Atomic{Checks: []kv.Check{{Key: key(k), Versionstamp: &stamp}}, Mutations: []kv.Mutation{set("wrong", "")}})
			if result.OK() {
				r.t.Fatalf("%s: a check with %s of the abandoned time holds", name, stamp)
			}
		}
	}
}

// A restore into a cluster that is killed before any of its steps, and begun again, ends with the database as it was.
func TestRestoreKilledAtEveryStep(t *testing.T) {
	r := newRig(t)
	a, wanted, abandoned := r.fill()
	target := backup.Target{Versionstamp: wanted}
	for _, step := range []string{"", "begin", "store", "messages", "log", "end"} {
		name := "restored-" + step
		if step != "" {
			if _, err := a.Restore(t.Context(), target, name, r.killedAt(step)); !errors.Is(err, errKilled) {
				t.Fatalf("%s: %v; want it to be killed", step, err)
			}
		}
		d := r.open()
		restored, err := a.Restore(t.Context(), target, name, d)
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		if restored.Messages != 2 || restored.Dead != 0 || restored.Entries != 2 || restored.Expired != 1 {
			t.Errorf("%s: restored %+v", step, restored)
		}
		r.judge(name, wanted, abandoned)
		if keys, err := d.Notes(t.Context()); err != nil || len(keys) > 0 {
			t.Errorf("%s: the notes %v are left, %v", step, keys, err)
		}
		if _, err := a.Restore(t.Context(), target, name, d); !errors.Is(err, backup.ErrDatabaseExists) {
			t.Errorf("%s: restored twice: %v; want ErrDatabaseExists", step, err)
		}
	}
}

// Of two restores to one name at the same time one fails, and the other's database has its state.
func TestRestoreTwiceAtOnce(t *testing.T) {
	r := newRig(t)
	a, wanted, abandoned := r.fill()
	target := backup.Target{Versionstamp: wanted}
	for _, step := range []string{"store", "log"} {
		first := r.open()
		first.Before(func(name string) (err error) {
			if name == step {
				_, err = a.Restore(t.Context(), target, "restored-"+step, r.open())
			}
			return err
		})
		if _, err := a.Restore(t.Context(), target, "restored-"+step, first); err == nil {
			t.Errorf("%s: both were restored", step)
		}
		r.judge("restored-"+step, wanted, abandoned)
	}
}

// A branch is made while the database goes on, and a branch of it again.
func TestBranch(t *testing.T) {
	r := newRig(t)
	_, wanted, abandoned := r.fill()
	branch := func(database, name string, target backup.Target) {
		t.Helper()
		source := r.source(database)
		base, err := source.Base(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		defer base.State.Close()
		if _, err := backup.Branch(t.Context(), source, base, target, name, r.open(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	branch("orders", "branch", backup.Target{Versionstamp: wanted})
	branch("branch", "again", backup.Target{})
	r.judge("branch", wanted, abandoned)
	r.judge("again", wanted, abandoned)
}
