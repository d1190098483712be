package databases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/queue"
	"github.com/nats-io/nats.go/jetstream"
)

// Deleted is a database that was deleted, and can be had again until its time.
type Deleted struct {
	Name     string       `json:"name"`
	ID       string       `json:"id"`
	Deleted  time.Time    `json:"deleted"`
	Until    time.Time    `json:"until"`
	End      backup.Place `json:"end"` // of its log, and of the state that is kept; zero: it is not kept yet
	Messages int          `json:"messages"`
	Kept     time.Time    `json:"kept"`           // when that was; it had been closed by then
	As       string       `json:"as,omitempty"`   // it is being renamed to this
	Gone     bool         `json:"gone,omitempty"` // nothing of it is kept any more: the note says only that it was deleted

	revision uint64 // of the note
}

func deletedKey(name, id string) string { return "deleted." + name + "." + id }

// kept reports whether all of it is in the bucket, and its log is not needed any more.
func (t *Deleted) kept() bool { return t.End.Applied != 0 }

// Deleted returns what was deleted and is still there, of that name; "": of any.
func (d *Databases) Deleted(ctx context.Context, name string) ([]Deleted, error) {
	list, err := d.notes.deleted(ctx, cmp.Or(name, "*"), "*")
	return slices.DeleteFunc(list, func(t Deleted) bool { return t.Gone }), err
}

// deleted returns all notes of databases that were deleted, of that name and UUID; "*": of any.
func (n *notes) deleted(ctx context.Context, name, id string) (list []Deleted, err error) {
	keys, err := n.keys(ctx, deletedKey(name, id))
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		var t Deleted
		if t.revision, err = n.read(ctx, key, &t); err != nil {
			return nil, err
		}
		if t.revision != 0 { // it was there just before
			list = append(list, t)
		}
	}
	return list, nil
}

// Delete deletes a database, and keeps its state and the messages of its queue for that long. Called again it goes on with what a call
// that died has begun. It fails with kv.ErrNoDatabase.
func (d *Databases) Delete(ctx context.Context, name string, keep time.Duration) (*Deleted, error) {
	t, err := d.retire(ctx, name, "", keep)
	if err == nil {
		err = d.remove(ctx, t)
	}
	return t, err
}

// Rename gives a database another name. Its UUID is another one then, and its programs have to connect anew. Called again it goes on
// with what a call that died has begun. It fails with kv.ErrNoDatabase and backup.ErrDatabaseExists.
func (d *Databases) Rename(ctx context.Context, name, as string, keep time.Duration) error {
	if err := d.Absent(ctx, as); err != nil {
		return err
	}
	t, err := d.retire(ctx, name, as, keep)
	if err != nil {
		return err
	}
	if err := d.remove(ctx, t); err != nil {
		return err
	}
	return d.revive(ctx, t, as)
}

// Undelete brings a database back that was deleted and is still kept, under its name or another one. It is the one with that UUID, or
// without it the one that was deleted last. It returns the name that it has: its own, if it was not deleted to the end.
func (d *Databases) Undelete(ctx context.Context, name, id, as string) (string, error) {
	list, err := d.Deleted(ctx, name)
	if err != nil {
		return "", err
	}
	var t *Deleted
	for i := range list {
		if (id == "" || list[i].ID == id) && (t == nil || list[i].Deleted.After(t.Deleted)) {
			t = &list[i]
		}
	}
	if t == nil {
		return name, d.leftClosed(ctx, name)
	}
	if !t.kept() {
		return name, d.turnBack(ctx, t)
	}
	if err := d.remove(ctx, t); err != nil { // before Absent: it may have the name
		return "", err
	}
	if err := d.Absent(ctx, as); err != nil {
		return "", err
	}
	if as == name {
		if err := pause(ctx, d.quiet(t)-d.Now().Sub(t.Kept)); err != nil {
			return "", err
		}
	}
	return as, d.revive(ctx, t, as)
}

// quiet is how long after a database was closed nobody answers strong reads any more from what it has.
func (d *Databases) quiet(t *Deleted) time.Duration {
	return max(d.Quiet, t.End.Chain().Lease*5/4)
}

func pause(ctx context.Context, wait time.Duration) error {
	select {
	case <-time.After(max(wait, 0)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retire notes that a database is being deleted, closes it, and keeps what it has. After that nothing of it is needed any more.
func (d *Databases) retire(ctx context.Context, name, as string, keep time.Duration) (*Deleted, error) {
	t, err := d.note(ctx, name, as, keep)
	if err != nil || t.kept() {
		return t, err
	}
	if err := d.passed("close"); err != nil {
		return nil, err
	}
	log, end, err := natslog.Close(ctx, d.js, name)
	if err != nil {
		return nil, err
	}
	return t, d.keep(ctx, t, log, end)
}

// note returns the note of a database that is to be deleted: that of an earlier call that died, or a new one.
func (d *Databases) note(ctx context.Context, name, as string, keep time.Duration) (*Deleted, error) {
	if err := d.passed("note"); err != nil {
		return nil, err
	}
	log, _, err := natslog.OpenClosed(ctx, d.js, name)
	if err != nil && !errors.Is(err, kv.ErrNoDatabase) {
		return nil, err
	}
	earlier, listErr := d.Deleted(ctx, name)
	if listErr != nil {
		return nil, listErr
	}
	for i, t := range earlier {
		if log != nil && log.ID() == t.ID || log == nil && t.As != "" && t.As == as {
			if t.As != as {
				return nil, fmt.Errorf("the database %q is being renamed to %q; do that again, or bring it back with undelete", name, t.As)
			}
			return &earlier[i], nil
		}
	}
	if log == nil {
		return nil, err
	}
	now := d.Now().UTC()
	t := &Deleted{Name: name, ID: log.ID(), Deleted: now, Until: now.Add(keep), As: as}
	t.revision, err = d.notes.write(ctx, deletedKey(name, t.ID), t, 0)
	return t, err
}

// keep puts the state at the end of a closed log into the bucket, and the messages of its queue.
func (d *Databases) keep(ctx context.Context, t *Deleted, log *natslog.Log, end kv.Position) error {
	if err := d.passed("keep"); err != nil {
		return err
	}
	p, err := d.State(ctx, log)
	if err != nil {
		return err
	}
	defer p.Close()
	chain := p.Chain()
	if chain.Applied != end {
		return fmt.Errorf("the state of %q is at %d, and its log ends at %d", t.Name, chain.Applied, end)
	}
	_, err = d.bucket.Put(ctx, t.ID, func(w io.Writer) (events.Chain, error) { return p.WriteCheckpoint(ctx, w, t.ID) })
	if err != nil {
		return fmt.Errorf("keep the state of %q: %w", t.Name, err)
	}
	if err := d.passed("keep messages"); err != nil {
		return err
	}
	q, c := d.queue(t, log), log.Config()
	if err := q.FeedThrough(ctx, closed{log}, c.Replicas, c.Memory, end); err != nil {
		return fmt.Errorf("keep the messages of %q: %w", t.Name, err)
	}
	t.Messages, err = d.bucket.PutBacklog(ctx, t.ID, chain, func(each func(kv.QueuedMessage) error) error { return q.Left(ctx, each) })
	if err != nil {
		return fmt.Errorf("keep the messages of %q: %w", t.Name, err)
	}
	if err := d.passed("kept"); err != nil {
		return err
	}
	t.End, t.Kept = backup.PlaceOf(chain), d.Now().UTC()
	t.revision, err = d.notes.write(ctx, deletedKey(t.Name, t.ID), t, t.revision)
	return err
}

// closed is a log that is closed and whose queue is made nevertheless, if it is missing: to have its messages.
type closed struct{ *natslog.Log }

func (closed) InUse(context.Context) error { return nil }

func (d *Databases) queue(t *Deleted, log *natslog.Log) *queue.Queue {
	c := queue.Config{
		Conn: d.conn, JS: d.js, Database: t.Name, ID: t.ID, Logger: d.Logger, Now: func() kv.Millis { return kv.MillisOf(d.Now()) },
		Rest: checkpoints.Rest(d.js, t.ID),
	}
	if log != nil {
		c.Begins, c.Backlog = log.After(), d.Backlog(log)
	}
	return queue.New(c)
}

// remove removes the queue and the log of a database that is kept, as far as they are there.
func (d *Databases) remove(ctx context.Context, t *Deleted) error {
	if err := d.passed("remove queue"); err != nil {
		return err
	}
	log, _, err := natslog.OpenClosed(ctx, d.js, t.Name)
	if errors.Is(err, kv.ErrNoDatabase) || err == nil && log.ID() != t.ID {
		return nil
	}
	if err != nil {
		return err
	}
	if err := d.queue(t, nil).Remove(ctx); err != nil {
		return err
	}
	if err := d.passed("remove log"); err != nil {
		return err
	}
	if d.Forget != nil {
		if err := d.Forget(t.ID); err != nil {
			return err
		}
	}
	if err := d.js.DeleteStream(ctx, natslog.StreamName(t.Name)); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("remove the log of %q: %w", t.Name, err)
	}
	return nil
}

// turnBack makes a database that is not kept yet what it was.
func (d *Databases) turnBack(ctx context.Context, t *Deleted) error {
	if err := d.notes.remove(ctx, deletedKey(t.Name, t.ID), t.revision); err != nil { // whoever deletes it fails from here on
		return err
	}
	if err := d.passed("reopen"); err != nil {
		return err
	}
	log, closed, err := natslog.OpenClosed(ctx, d.js, t.Name)
	if err != nil || !closed || log.ID() != t.ID {
		return err
	}
	return natslog.Reopen(ctx, d.js, log)
}

// leftClosed goes on with a turnBack that has died.
func (d *Databases) leftClosed(ctx context.Context, name string) error {
	log, closed, err := natslog.OpenClosed(ctx, d.js, name)
	if errors.Is(err, kv.ErrNoDatabase) || err == nil && !closed {
		return kv.Errorf(kv.ErrNoDatabase, "no deleted database %q is kept", name)
	}
	if err != nil {
		return err
	}
	return natslog.Reopen(ctx, d.js, log)
}

// revive makes a database of what is kept of another one, which is not kept any more then.
func (d *Databases) revive(ctx context.Context, t *Deleted, as string) error {
	if err := d.passed("revive"); err != nil {
		return err
	}
	end := t.End.Chain()
	p, err := d.bucket.Load(ctx, t.ID, end.Applied, projection.Options{})
	if err != nil {
		return fmt.Errorf("read the state of %q: %w", t.Name, err)
	}
	defer p.Close()
	first := backup.FirstPosition(end.Applied, d.Now())
	p.BeginAfter(first - 1)
	n := backup.New{
		Name: as, After: p.Chain(), Source: t.ID, WriteCheckpoint: p.WriteCheckpoint,
		Messages: checkpoints.Backlog(d.js, t.ID, end.Applied),
	}
	return d.make(ctx, n, func() error { return d.forget(ctx, t) })
}

// noteKept is how long the note of a database is kept of which nothing else is kept: all processes have let it go by then.
const noteKept = time.Hour

// forget removes what is kept of a database, but for the note.
func (d *Databases) forget(ctx context.Context, t *Deleted) (err error) {
	if err := d.passed("forget"); err != nil {
		return err
	}
	if err := d.bucket.DeleteAll(ctx, t.ID); err != nil {
		return err
	}
	t.Gone, t.Until = true, d.Now().Add(noteKept)
	t.revision, err = d.notes.write(ctx, deletedKey(t.Name, t.ID), t, t.revision)
	return err
}

// abandonedAfter is how old the note of a database that is being made must be that whoever made it has died: a state takes half an hour
// at most to be stored.
const abandonedAfter = 4 * time.Hour

// Prune removes what is kept of databases that were deleted and whose time has come, and what was left by a Make that has died. It
// removes no log.
func (d *Databases) Prune(ctx context.Context) error {
	list, err := d.notes.deleted(ctx, "*", "*")
	if err != nil {
		return err
	}
	var failed []error
	for _, t := range list {
		switch {
		case !d.Now().After(t.Until):
		case t.Gone:
			failed = append(failed, d.erase(ctx, &t))
		case t.kept():
			failed = append(failed, d.expire(ctx, &t))
		}
	}
	keys, err := d.notes.keys(ctx, makingKey("*"))
	for _, key := range keys {
		failed = append(failed, d.abandon(ctx, key))
	}
	return errors.Join(append(failed, err)...)
}

// expire forgets a database whose time has come, unless its deletion was not gone on with to its end.
func (d *Databases) expire(ctx context.Context, t *Deleted) error {
	log, _, err := natslog.OpenClosed(ctx, d.js, t.Name)
	if errors.Is(err, kv.ErrNoDatabase) || err == nil && log.ID() != t.ID {
		return d.forget(ctx, t)
	}
	return err
}

// erase removes the note of a database that is forgotten, and what a process may have stored that had not let go of it then.
func (d *Databases) erase(ctx context.Context, t *Deleted) error {
	if err := d.bucket.DeleteAll(ctx, t.ID); err != nil {
		return err
	}
	return d.notes.remove(ctx, deletedKey(t.Name, t.ID), t.revision)
}

// abandon removes the note of a database that is not being made any more, and, unless it was made, what is stored of it.
func (d *Databases) abandon(ctx context.Context, key string) error {
	var note making
	revision, err := d.notes.read(ctx, key, &note)
	if err != nil || revision == 0 || d.Now().Sub(note.Begun) < abandonedAfter {
		return err
	}
	log, _, err := natslog.OpenClosed(ctx, d.js, key[len(makingKey("")):])
	switch {
	case errors.Is(err, kv.ErrNoDatabase) || err == nil && log.ID() != note.ID:
		if err := d.bucket.DeleteAll(ctx, note.ID); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	return d.notes.remove(ctx, key, revision)
}
