//go:build linux

package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/test/check"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
)

// The promises of how soon a cluster works again after the last fault has healed. A strong read takes a leading writer, so its time
// begins with the first write.
const (
	writesWithin = 15 * time.Second
	readsWithin  = 5 * time.Second
)

func isUnexpected(err error) bool {
	return errors.Is(err, errUnexpected) || errors.Is(err, kv.ErrWritesDisabled)
}

// operation counts what a client was told.
func (y *tally) operation(o check.Operation) {
	outcome := "done"
	switch {
	case errors.Is(o.Err, kv.ErrUnknownOutcome) && o.Kind == check.Commit:
		outcome = "of unknown outcome"
	case errors.Is(o.Err, kv.ErrInvalid):
		outcome = "refused"
	case o.Err != nil:
		outcome = "failed"
	case o.Kind == check.Commit && !o.Result.OK():
		outcome = "with failed checks"
	}
	y.count(fmt.Sprintf("operations: %ss %s", o.Kind, outcome))
}

// endure lets f hit the cluster under load, and heal it. Then it must work again in time, and everything that was seen so far
// must be right.
func (c *cluster) endure(name string, f func(*cluster)) {
	c.t.Helper()
	if strings.HasSuffix(name, "checkpoint") && !c.checkpoints {
		c.tally.count("passed over, since nobody keeps checkpoints: " + name)
		return
	}
	if isTrimPoint(name) && !c.options.trimmed {
		c.tally.count("passed over, since the log is not trimmed: " + name)
		return
	}
	c.resume()
	c.tally.count("injections: " + name)
	f(c)
	c.prove(name)
	c.rest()
	c.judge(name)
}

// prove writes and reads through every reader.
func (c *cluster) prove(name string) {
	c.t.Helper()
	healed, at := time.Now(), one(c, c.prover.readers)
	write := c.try(name, writesWithin, healed, func() error { return c.prover.commit(at, writesWithin, c.prover.count) })
	written := time.Now()
	for _, at := range c.prover.readers {
		c.try(name, readsWithin, written, func() error { return c.prover.read(at, readsWithin) })
	}
	read := time.Since(written)
	c.tally.recovered(write, read)
	c.t.Logf("%s: writes after %v, reads %v later", name, written.Sub(healed).Round(time.Millisecond), read.Round(time.Millisecond))
}

// try acts until that succeeds, which must be within the bound from then on.
func (c *cluster) try(name string, bound time.Duration, from time.Time, act func() error) time.Duration {
	err := act()
	for ; err != nil && time.Since(from) < bound; err = act() {
		<-time.After(20 * time.Millisecond)
	}
	took := time.Since(from)
	if err != nil || took > bound {
		c.violate("after %s it took %v: %v", name, took, err)
	}
	return took
}

// judge reports what is wrong with all that was seen so far, and ends the test if anything is. The clients rest meanwhile.
func (c *cluster) judge(name string) {
	c.t.Helper()
	c.soundProcesses()
	c.sameOnEveryServer()
	h, found := c.findings()
	for range found {
		c.tally.count(violations)
	}
	if len(found) == 0 {
		return
	}
	c.keep(h, found)
	for _, violation := range found[:min(len(found), 5)] {
		c.t.Errorf("after %s: %.2000s", name, violation)
	}
	c.t.Fatalf("after %s: %d violations; see %s", name, len(found), c.dir)
}

// soundProcesses finds processes that have ended by themselves, and what Go's runtime says of those that are wrong.
func (c *cluster) soundProcesses() {
	for _, p := range c.all() {
		if !p.running() {
			c.violate("%s has ended by itself: %s", p.name, p.tail())
		}
	}
	if c.archive != nil && !c.archive.running() {
		c.violate("the archive's process has ended by itself: %s", c.archive.tail())
	}
	for _, p := range append(c.others(c.writers, nil), c.readers...) {
		for _, trouble := range []string{"DATA RACE", "panic: ", "fatal error: "} {
			if p.says(trouble) {
				c.violate("%s says %s; see %s", p.name, trouble, p.log)
			}
		}
	}
}

// findings holds all that was seen to the logs.
func (c *cluster) findings() (*check.History, []string) {
	c.t.Helper()
	h := c.history()
	found := append(check.Check(h), judgePerKey(h, c.tally)...)
	if len(c.banks) > 0 {
		log := c.fetch(bankDatabase)
		for _, b := range c.banks {
			found = append(found, b.violations(log)...)
		}
	}
	for ; c.counted < len(h.Log); c.counted++ {
		if s, err := events.Open(h.Log[c.counted].Message); err == nil && s.Record.Kind == events.KindEpoch && s.Record.Writer != (ulid.ULID{}) {
			c.tally.count("takeovers, and epochs to find out an outcome")
		}
	}
	return h, found
}

// history returns what was seen so far. The money in each read is part of it.
func (c *cluster) history() *check.History {
	c.t.Helper()
	log := c.undamaged
	if log == nil {
		log = c.fetch(kvDefault)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &check.History{Log: log, Operations: slices.Clone(c.operations), Counts: map[string]int{}, Violations: slices.Clone(c.violations), Identify: identify}
	for _, o := range h.Operations {
		if total := moneyIn(o); o.Kind == check.Strong && total != 0 && total != accounts*balance {
			h.Violations = append(h.Violations, fmt.Sprintf("client %d read accounts with %v in all", o.Client, total))
		}
	}
	return h
}

func moneyIn(o check.Operation) (total float64) {
	if o.Kind != check.Strong {
		return 0
	}
	return moneyOf(o.Snapshot.Entries[0])
}

func moneyOf(entries []kv.Entry) (total float64) {
	for _, e := range entries {
		if strings.HasPrefix(string(e.Key), string(key("account"))) {
			total += credit(e)
		}
	}
	return total
}

// keep writes what was seen to the cluster's directory.
func (c *cluster) keep(h *check.History, found []string) {
	var text strings.Builder
	for _, o := range h.Operations {
		fmt.Fprintf(&text, "%s %s client %d: %v", o.Begin.Format(time.StampMicro), o.End.Format(time.StampMicro), o.Client, o.Kind)
		if o.Kind == check.Commit {
			fmt.Fprintf(&text, " %v %+v: %+v %v\n", o.ID, *o.Atomic, o.Result, o.Err)
		} else {
			fmt.Fprintf(&text, " %v\n", o.Snapshot.Entries)
		}
	}
	for _, m := range h.Log {
		fmt.Fprintf(&text, "%s record %d: ", m.At.Format(time.StampMicro), m.Position)
		if s, err := events.Open(m.Message); err != nil {
			fmt.Fprintln(&text, err)
		} else {
			fmt.Fprintf(&text, "%+v\n", *s.Record)
		}
	}
	for name, content := range map[string]string{"history.txt": text.String(), "violations.txt": strings.Join(found, "\n")} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(content), 0o600); err != nil {
			c.t.Error(err)
		}
	}
}

func (c *cluster) jetStream() jetstream.JetStream {
	js, err := jetstream.New(c.admin)
	if err != nil {
		c.t.Fatal(err)
	}
	return js
}

func (c *cluster) stream(database string) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Second)
	defer cancel()
	s, err := c.jetStream().Stream(ctx, "millpond_"+database)
	if err != nil {
		return nil, err
	}
	return s.Info(ctx)
}

// fetch returns a database's whole log: what is there now, behind what was there before it was trimmed.
func (c *cluster) fetch(database string) (log []check.Stored) {
	c.t.Helper()
	said := ""
	eventually(c.t, startWait, "the log of "+database+" is read", func() bool {
		var err error
		log, err = c.tryFetch(database)
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) && !errors.Is(err, kv.ErrNoDatabase) { // which is a log without records
			if said != err.Error() {
				said = err.Error()
				c.t.Logf("read the log of %s: %v; %s", database, err, c.replicas(database))
			}
			return false
		}
		return true
	})
	return log
}

func (c *cluster) tryFetch(database string) ([]check.Stored, error) {
	c.fetching.Lock()
	defer c.fetching.Unlock()
	ctx, cancel := context.WithTimeout(c.t.Context(), 3*time.Second) // a consumer may be given to a server that does not deliver
	defer cancel()
	log, err := natslog.Open(ctx, c.jetStream(), database)
	if err != nil {
		return nil, err
	}
	first, last, err := log.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	had := c.fetched[database]
	if int(first) > len(had)+1 {
		return nil, fmt.Errorf("the log begins at %d, and nobody has kept what came after %d", first, len(had))
	}
	there, err := c.read(ctx, log, first, last)
	if err != nil {
		return nil, err
	}
	c.fetched[database] = slices.Concat(had[:first-1], there)
	return c.fetched[database], c.allowTrim(ctx, log)
}

// read reads the records of a log from first to last.
func (c *cluster) read(ctx context.Context, log *natslog.Log, first, last kv.Position) (list []check.Stored, err error) {
	if last < first {
		return nil, nil
	}
	times, err := c.times(ctx, log.Database(), first, last)
	if err != nil {
		return nil, fmt.Errorf("times: %w (%d of %d to %d)", err, len(times), first, last)
	}
	reader, err := log.Read(ctx, first)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	for _, at := range times {
		m, err := reader.Next(ctx)
		if err != nil {
			return nil, err
		}
		if want := first + kv.Position(len(list)); m.Position != want {
			return nil, fmt.Errorf("got record %v, want %v: perhaps it was trimmed meanwhile", m.Position, want)
		}
		list = append(list, check.Stored{Message: m, At: at})
	}
	return list, nil
}

// times returns when each record from first to last was stored.
func (c *cluster) times(ctx context.Context, database string, first, last kv.Position) (times []time.Time, err error) {
	consumer, err := c.jetStream().OrderedConsumer(ctx, "millpond_"+database, jetstream.OrderedConsumerConfig{
		HeadersOnly: true, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: uint64(first),
		InactiveThreshold: 10 * time.Second, // it is left behind
	})
	if err != nil {
		return nil, err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	for kv.Position(len(times)) <= last-first {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return times, err
		}
		about, err := m.Metadata()
		if err != nil {
			return times, err
		}
		if want := uint64(first) + uint64(len(times)); about.Sequence.Stream != want {
			return times, fmt.Errorf("got record %d, want %d: perhaps it was trimmed meanwhile", about.Sequence.Stream, want)
		}
		times = append(times, about.Timestamp)
	}
	return times, nil
}

// replica is what a NATS server says of its copy of a stream.
type replica struct {
	Messages uint64 `json:"messages"`
	First    uint64 `json:"first_seq"`
	Last     uint64 `json:"last_seq"`
	Deleted  int    `json:"num_deleted"`
}

// whole reports whether nothing is missing in a copy of a stream that begins at first.
func (r replica) whole(first uint64) bool {
	return r.First == first && r.Deleted == 0 && r.Messages == r.Last+1-r.First
}

// replicaAt asks one NATS server for its copy.
func (c *cluster) replicaAt(p *process, database string) (r replica, err error) {
	page, err := fetch(strings.TrimSuffix(p.ready, "/healthz") + "/jsz?streams=true")
	if err != nil {
		return r, err
	}
	var answer struct {
		Accounts []struct {
			Streams []struct {
				Name  string  `json:"name"`
				State replica `json:"state"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.Unmarshal(page, &answer); err != nil {
		return r, err
	}
	for _, account := range answer.Accounts {
		for _, s := range account.Streams {
			if s.Name == "millpond_"+database {
				return s.State, nil
			}
		}
	}
	return r, fmt.Errorf("%s has no stream of %s", p.name, database)
}

// sameOnEveryServer waits until every NATS server has the whole log, without a gap.
func (c *cluster) sameOnEveryServer() {
	c.t.Helper()
	databases := []string{kvDefault}
	if len(c.banks) > 0 {
		databases = append(databases, bankDatabase)
	}
	for _, database := range databases {
		same := within(startWait, func() bool {
			info, err := c.stream(database)
			good := err == nil
			for _, p := range c.nats {
				r, err := c.replicaAt(p, database)
				good = good && err == nil && r.whole(info.State.FirstSeq) && r.Last == info.State.LastSeq
			}
			return good
		})
		if !same {
			c.violate("the NATS servers have different logs of %s: %s", database, c.replicas(database))
		}
	}
}

// replicas says what each NATS server says of its copy.
func (c *cluster) replicas(database string) string {
	var said []string
	for _, p := range c.nats {
		r, err := c.replicaAt(p, database)
		said = append(said, fmt.Sprintf("%s: %+v %v", p.name, r, err))
	}
	return strings.Join(said, "; ")
}
