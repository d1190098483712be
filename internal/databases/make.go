package databases

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/fault"
	"github.com/millpondkv/millpond/kv"
)

// making is the note of a database that is being made: whoever wrote it last makes it.
type making struct {
	ID     string    `json:"id"`
	Source string    `json:"source"` // see backup.New
	Begun  time.Time `json:"begun"`
}

func makingKey(name string) string { return "making." + name }

// Absent implements backup.Maker. A database that Make has made, and not taken the last step of, counts as absent.
func (d *Databases) Absent(ctx context.Context, name string) error {
	log, err := natslog.Open(ctx, d.js, name)
	if errors.Is(err, kv.ErrNoDatabase) {
		return nil
	}
	if err != nil {
		return err
	}
	var note making
	if revision, err := d.notes.read(ctx, makingKey(name), &note); err != nil || revision != 0 && note.ID == log.ID() {
		return err
	}
	return fmt.Errorf("%w: %q", backup.ErrDatabaseExists, name)
}

// Make implements backup.Maker. The database exists from the moment that its log is made, and its state is in the bucket by then.
func (d *Databases) Make(ctx context.Context, n backup.New) error {
	return d.make(ctx, n, func() error { return nil })
}

// make is Make, and calls done before its last step.
func (d *Databases) make(ctx context.Context, n backup.New, done func() error) error {
	log, err := natslog.Open(ctx, d.js, n.Name)
	if err == nil {
		return d.finish(ctx, log, n, done)
	}
	if !errors.Is(err, kv.ErrNoDatabase) {
		return err
	}
	note := making{ID: uuid.NewString(), Source: n.Source, Begun: d.Now()}
	revision, err := d.begin(ctx, n.Name, note)
	if err != nil {
		return err
	}
	if err := d.store(ctx, note.ID, n); err != nil {
		return err
	}
	if err := d.stillMine(ctx, n.Name, revision); err != nil {
		return err
	}
	if err := d.makeLog(ctx, note.ID, revision, n); err != nil {
		return err
	}
	if err := done(); err != nil {
		return err
	}
	return d.end(ctx, n.Name, revision)
}

// begin notes that the database is being made, and clears away what an earlier try has left.
func (d *Databases) begin(ctx context.Context, name string, note making) (uint64, error) {
	if err := d.passed("begin"); err != nil {
		return 0, err
	}
	var before making
	revision, err := d.notes.read(ctx, makingKey(name), &before)
	if err != nil {
		return 0, err
	}
	again := revision != 0
	if revision, err = d.notes.write(ctx, makingKey(name), note, revision); err != nil {
		return 0, fmt.Errorf("%w; is %q being made by somebody else?", err, name)
	}
	if again {
		err = d.bucket.DeleteAll(ctx, before.ID)
	}
	return revision, err
}

// store stores the state and the messages, and reads both back.
func (d *Databases) store(ctx context.Context, id string, n backup.New) error {
	if err := d.passed("store"); err != nil {
		return err
	}
	_, err := d.bucket.Put(ctx, id, func(w io.Writer) (events.Chain, error) {
		chain, err := n.WriteCheckpoint(ctx, w, id)
		if err == nil && chain != n.After {
			err = fmt.Errorf("the state is at %d, and the log begins after %d", chain.Applied, n.After.Applied)
		}
		return chain, err
	})
	if err != nil {
		return fmt.Errorf("store the state: %w", err)
	}
	if err := d.passed("messages"); err != nil {
		return err
	}
	_, err = d.bucket.PutBacklog(ctx, id, n.After, func(each func(kv.QueuedMessage) error) error { return n.Messages(ctx, each) })
	if err != nil {
		return fmt.Errorf("store the messages of the queue: %w", err)
	}
	return nil
}

// stillMine fails if somebody else makes the database now: what this process has stored may be gone.
func (d *Databases) stillMine(ctx context.Context, name string, revision uint64) error {
	var note making
	now, err := d.notes.read(ctx, makingKey(name), &note)
	if err == nil && now != revision {
		err = fmt.Errorf("somebody else makes the database %q at the same time", name)
	}
	return err
}

func (d *Databases) makeLog(ctx context.Context, id string, revision uint64, n backup.New) error {
	if err := d.passed("log"); err != nil {
		return err
	}
	log, err := natslog.Create(ctx, d.js, n.Name, natslog.Config{Replicas: d.Replicas, Memory: d.Memory, ID: id, After: n.After})
	if err != nil {
		return err
	}
	if log.ID() != id {
		return fmt.Errorf("%w: somebody else has made %q meanwhile", backup.ErrDatabaseExists, n.Name)
	}
	if err := d.stillMine(ctx, n.Name, revision); err != nil { // then the state may be gone
		return errors.Join(err, d.js.DeleteStream(ctx, natslog.StreamName(n.Name)))
	}
	return nil
}

// end removes the note.
func (d *Databases) end(ctx context.Context, name string, revision uint64) error {
	if err := d.passed("end"); err != nil {
		return err
	}
	return d.notes.remove(ctx, makingKey(name), revision)
}

// finish goes on with a database whose log an earlier Make has made, if it is the same one.
func (d *Databases) finish(ctx context.Context, log *natslog.Log, n backup.New, done func() error) error {
	var note making
	revision, err := d.notes.read(ctx, makingKey(n.Name), &note)
	if err != nil {
		return err
	}
	if revision == 0 || note.ID != log.ID() {
		return fmt.Errorf("%w: %q", backup.ErrDatabaseExists, n.Name)
	}
	if note.Source == n.Source {
		if err := done(); err != nil {
			return err
		}
	}
	if err := d.end(ctx, n.Name, revision); err != nil {
		return err
	}
	if note.Source != n.Source {
		return fmt.Errorf("%w: %q was being restored to another state, and that is done now", backup.ErrDatabaseExists, n.Name)
	}
	return nil
}

// passed is called before each step.
func (d *Databases) passed(step string) error {
	fault.Point("databases." + step)
	return d.step(step)
}
