package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Overview is a whole cluster as it can be seen over NATS.
type Overview struct {
	Databases []DatabaseView `json:"databases"` // sorted by name
	Readers   []ReplicaView  `json:"readers"`   // one for each reader and database
	Writers   []WriterView   `json:"writers"`   // one for each writer and database
	Servers   Servers        `json:"servers"`
	// Warnings are what needs the operator: sentences.
	Warnings []string `json:"warnings"`
}

// DatabaseView is one database.
type DatabaseView struct {
	Name     string            `json:"name"`
	Leader   string            `json:"leader,omitempty"` // the process that leads; empty: none that answers
	Epoch    kv.Position       `json:"epoch"`
	End      kv.Position       `json:"end"`   // the highest position that is known of
	First    kv.Position       `json:"first"` // what was before it was trimmed
	Messages uint64            `json:"messages"`
	Bytes    uint64            `json:"bytes"` // on the disk of each replica
	Replicas []natslog.Replica `json:"replicas"`
	Problem  string            `json:"problem,omitempty"` // why its stream cannot be described

	Checkpoint *CheckpointView    `json:"checkpoint,omitempty"` // the newest one in NATS
	Holds      []checkpoints.Hold `json:"holds,omitempty"`      // what keeps the log from being trimmed
}

// CheckpointView is a checkpoint of a database.
type CheckpointView struct {
	Position kv.Position `json:"position"`
	Taken    time.Time   `json:"taken"`
	Bytes    int64       `json:"bytes"`
}

// ReplicaView is one database of a reader.
type ReplicaView struct {
	Process  string      `json:"process"`
	Database string      `json:"database"`
	Position kv.Position `json:"position"`
	Lag      uint64      `json:"lag"`
	Damaged  bool        `json:"damaged,omitempty"`
	Problem  string      `json:"problem,omitempty"` // why it is not served
}

// WriterView is one database of a writer.
type WriterView struct {
	Process  string      `json:"process"`
	Database string      `json:"database"`
	Position kv.Position `json:"position"`
	Leading  bool        `json:"leading"`
	Damaged  bool        `json:"damaged,omitempty"`
	Problem  string      `json:"problem,omitempty"` // why it is not stood by for
}

const (
	statusWait   = time.Second     // for the processes
	describeWait = 3 * time.Second // for JetStream, which may have lost a leader
	describeMost = 16              // streams at the same time
	holdSilence  = time.Hour       // of a backup: it stands still
)

// Look asks processes, streams and servers at the same time, over a connection. What does not answer becomes a warning.
func (c NATS) Look(ctx context.Context, conn *nats.Conn) (Overview, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return Overview{}, fmt.Errorf("use JetStream: %w", err)
	}
	var (
		o         = Overview{Databases: []DatabaseView{}, Readers: []ReplicaView{}, Writers: []WriterView{}, Warnings: []string{}}
		processes []service.Status
		states    map[string]state
		listErr   error
		asking    sync.WaitGroup
	)
	asking.Go(func() { processes, err = service.AskStatus(ctx, conn, statusWait) })
	asking.Go(func() { states, listErr = describe(ctx, js) })
	asking.Go(func() { o.Servers = askServers(ctx, conn, c.Monitor) })
	asking.Wait()
	if err != nil {
		return o, err
	}
	if listErr != nil {
		o.Warnings = append(o.Warnings, fmt.Sprintf("JetStream does not say which streams there are (%v): fewer than half of the NATS servers are up, or this user may not ask; a kvreader's may", listErr))
	}
	o.fill(processes, states)
	o.warn(processes, states)
	return o, nil
}

// state is what JetStream says of a log.
type state struct {
	natslog.State
	err        error
	checkpoint *CheckpointView
	holds      []checkpoints.Hold
}

func describe(ctx context.Context, js jetstream.JetStream) (map[string]state, error) {
	ctx, cancel := context.WithTimeout(ctx, describeWait)
	defer cancel()
	names, err := natslog.List(ctx, js)
	if err != nil {
		return nil, err
	}
	bucket, bucketErr := checkpoints.Open(ctx, js, checkpoints.Config{})
	holds, holdsErr := checkpoints.OpenHolds(ctx, js, checkpoints.Config{})
	var mu sync.Mutex
	var describing sync.WaitGroup
	states, free := map[string]state{}, make(chan struct{}, describeMost)
	for _, name := range names {
		free <- struct{}{}
		describing.Go(func() {
			defer func() { <-free }()
			var s state
			s.State, s.err = natslog.Describe(ctx, js, name)
			if bucketErr == nil && s.ID != "" {
				s.checkpoint = newestCheckpoint(ctx, bucket, s.ID)
			}
			if holdsErr == nil && s.ID != "" {
				s.holds, _ = holds.List(ctx, s.ID) // a server that does not answer shows elsewhere
			}
			mu.Lock()
			defer mu.Unlock()
			states[name] = s
		})
	}
	describing.Wait()
	return states, nil
}

// newestCheckpoint returns nil if there is none, or nobody says.
func newestCheckpoint(ctx context.Context, bucket *checkpoints.Bucket, id string) *CheckpointView {
	list, err := bucket.List(ctx, id)
	if err != nil || len(list) == 0 {
		return nil
	}
	newest := list[len(list)-1]
	return &CheckpointView{newest.Position, newest.Taken, newest.Bytes}
}

// fill puts together what processes and streams say of each database.
func (o *Overview) fill(processes []service.Status, states map[string]state) {
	databases := map[string]*DatabaseView{}
	for name, s := range states {
		databases[name] = &DatabaseView{Name: name, End: s.Last, First: s.First, Messages: s.Messages, Bytes: s.Bytes, Replicas: s.Replicas,
			Checkpoint: s.checkpoint, Holds: s.holds}
		if s.err != nil {
			databases[name].Problem = s.err.Error()
		}
	}
	for _, p := range processes {
		for _, d := range p.Databases {
			view := databases[d.Name]
			if view == nil {
				view = &DatabaseView{Name: d.Name}
				databases[d.Name] = view
			}
			view.End, view.Epoch = max(view.End, d.Position), max(view.Epoch, d.Epoch)
			if p.Role == service.RoleReader {
				o.Readers = append(o.Readers, ReplicaView{p.Process, d.Name, d.Position, d.Lag, d.Damaged, d.Problem})
				continue
			}
			o.Writers = append(o.Writers, WriterView{p.Process, d.Name, d.Position, d.Leading, d.Damaged, d.Problem})
			if d.Leading && d.Epoch >= view.Epoch { // one that was replaced may not know it yet
				view.Leader = p.Process
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(databases)) {
		o.Databases = append(o.Databases, *databases[name])
	}
	for i, r := range o.Readers { // a reader cut off does not know how far behind it is
		o.Readers[i].Lag = max(r.Lag, uint64(databases[r.Database].End-r.Position))
	}
	slices.SortStableFunc(o.Readers, func(a, b ReplicaView) int { return cmp.Compare(a.Database, b.Database) })
	slices.SortStableFunc(o.Writers, func(a, b WriterView) int { return cmp.Compare(a.Database, b.Database) })
}

// warn says what an operator should look at.
func (o *Overview) warn(processes []service.Status, states map[string]state) {
	say := func(format string, args ...any) { o.Warnings = append(o.Warnings, fmt.Sprintf(format, args...)) }
	has := func(role string) bool {
		return slices.ContainsFunc(processes, func(p service.Status) bool { return p.Role == role })
	}
	if !has(service.RoleWriter) {
		say("no kvwriter answers, so nothing can be written; start one, or look at the logs of those that run")
	}
	if !has(service.RoleReader) {
		say("no kvreader answers; start one, or look at the logs of those that run")
	}
	for _, p := range processes {
		if len(p.Databases) == 0 {
			say("%s answers and has no database open", p.Process)
		}
	}
	for _, d := range o.Databases {
		if d.Leader == "" && has(service.RoleWriter) {
			say("the database %q has no leader that answers; a standby takes over within seconds if it can reach NATS", d.Name)
		}
		if d.Problem != "" {
			say("the log of %q does not answer: %s", d.Name, d.Problem)
		}
		for _, r := range d.Replicas {
			if r.Offline {
				say("the replica of %q on %s is offline; start that NATS server, it catches up by itself", d.Name, r.Server)
			} else if !r.Current {
				say("the replica of %q on %s has not caught up", d.Name, r.Server)
			}
		}
		for _, h := range d.Holds {
			if time.Since(h.Moved) > holdSilence {
				say("%s has archived nothing of %q since %s and holds its log; start it again, or give it up with millpond backup release %s --db %s",
					h.Of, d.Name, h.Moved.Format(time.RFC3339), h.Name, d.Name)
			}
		}
		for _, sentence := range states[d.Name].Unsafe {
			say("UNSAFE: %s", sentence)
		}
	}
	for _, r := range o.Readers {
		if r.Damaged {
			say("%s cannot read the log of %q on; its own log says where and why", r.Process, r.Database)
		} else if r.Problem != "" {
			say("%s does not serve the database %q: %s", r.Process, r.Database, r.Problem)
		}
	}
	for _, w := range o.Writers {
		if w.Damaged {
			say("%s cannot read the log of %q on; its own log says where and why", w.Process, w.Database)
		} else if w.Problem != "" {
			say("%s does not stand by for the database %q: %s", w.Process, w.Database, w.Problem)
		}
	}
	for _, sentence := range o.Servers.unsafe() {
		say("UNSAFE: %s", sentence)
	}
	if o.Servers.Unknown != "" {
		say("%s", o.Servers.Unknown)
	}
}
