//go:build linux

package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/test/check"
	"github.com/oklog/ulid/v2"
)

// scenario hits a cluster under load, and heals it.
type scenario struct {
	name string
	run  func(*cluster)
	disk bool // it takes disks of the NATS servers' own
}

// scenarios are all there are.
var scenarios = append(pointScenarios(),
	scenario{name: "the leading writer is stopped until another leads, and wakes up", run: zombie},
	scenario{name: "a writer that takes over is killed before it knows that it leads", run: killSuccessor},
	scenario{name: "restarts of one process after the other", run: storm},
	scenario{name: "the archive's process is killed", run: func(c *cluster) { c.lose(c.archive) }},
	scenario{name: "the stream's leader is killed", run: func(c *cluster) { c.lose(c.streamLeader()) }},
	scenario{name: "a follower of the stream is killed", run: func(c *cluster) { c.lose(one(c, c.others(c.nats, c.streamLeader()))) }},
	scenario{name: "the stream's leader is stopped for a while", run: func(c *cluster) { c.suspend(c.streamLeader(), c.upTo(12*time.Second)) }},
	scenario{name: "all NATS servers are killed", run: func(c *cluster) { c.loseAll(c.nats) }},
	scenario{name: "every process is killed", run: func(c *cluster) { c.loseAll(c.all()) }},
	scenario{name: "the stream's leader is cut off", run: func(c *cluster) { c.cutOff(c.streamLeader()) }},
	scenario{name: "the leading writer is cut off", run: func(c *cluster) { c.cutOff(c.leader()) }},
	scenario{name: "a reader is cut off from the others, not from its clients", run: func(c *cluster) { c.cutOff(one(c, c.readers)) }},
	scenario{name: "the stream's leader, the leading writer and a reader are on an island", run: island},
	scenario{name: "a record of an earlier epoch appears in the log", run: stale},
	scenario{name: "the power fails for all NATS servers", run: powerCut, disk: true},
	scenario{name: "a bit flips on the disk of a NATS server", run: flip, disk: true},
	scenario{name: "the disk of a NATS server is full", run: func(c *cluster) { fillDisks(c, c.chance.IntN(3)) }, disk: true},
	scenario{name: "the disks of all NATS servers are full", run: func(c *cluster) { fillDisks(c, 0, 1, 2) }, disk: true},
)

// leaderPoints are passed by the leading writer under load.
var leaderPoints = []string{"append.before", "append.sent", "append.acked", "apply", "answer"}

func pointScenarios() (list []scenario) {
	for _, point := range leaderPoints {
		list = append(list,
			scenario{name: "the leading writer is killed at " + point, run: func(c *cluster) { c.hit(c.leader(), point, "kill") }},
			scenario{name: "the leading writer is stopped at " + point, run: func(c *cluster) { c.hit(c.leader(), point, "stop") }})
	}
	for _, point := range trimPoints {
		list = append(list, scenario{name: "the leading writer is killed at " + point, run: func(c *cluster) { c.hit(c.leader(), point, "kill") }})
	}
	for _, point := range []string{"apply", "checkpoint"} {
		list = append(list,
			scenario{name: "a reader is killed at " + point, run: func(c *cluster) { c.hit(one(c, c.readers), point, "kill") }},
			scenario{name: "a reader is stopped at " + point, run: func(c *cluster) { c.hit(one(c, c.readers), point, "stop") }})
	}
	return append(list,
		scenario{name: "a standby is stopped at apply", run: func(c *cluster) { c.hit(one(c, c.others(c.writers, c.leader())), "apply", "stop") }},
		scenario{name: "a standby is killed at apply", run: func(c *cluster) { c.hit(one(c, c.others(c.writers, c.leader())), "apply", "kill") }},
		scenario{name: "the leading writer is killed at checkpoint", run: func(c *cluster) { c.hit(c.leader(), "checkpoint", "kill") }},
		scenario{name: "the leading writer is killed at bucket.written", run: func(c *cluster) { c.hit(c.leader(), "bucket.written", "kill") }},
		scenario{name: "the leading writer is killed at bucket.verified", run: func(c *cluster) { c.hit(c.leader(), "bucket.verified", "kill") }})
}

func (c *cluster) upTo(most time.Duration) time.Duration {
	return time.Duration(c.chance.Int64N(int64(most)))
}

// hold lets a fault last. It waits for nothing: what the cluster does meanwhile is what is tested.
func hold(d time.Duration) { <-time.After(d) }

// hit has a process killed or stopped at a point that it passes soon, and heals it after a moment.
func (c *cluster) hit(p *process, point, action string) {
	c.t.Helper()
	passing := 1 + c.chance.IntN(20)
	if point == "checkpoint" || strings.HasPrefix(point, "bucket.") || isTrimPoint(point) {
		passing = 1
	}
	p.arm(fmt.Sprintf("%s:%d=%s", point, passing, action))
	if !p.awaitHit(startWait) {
		c.t.Fatalf("%s did not come to %s", p.name, point)
	}
	hold(c.upTo(4 * time.Second))
	p.restart()
}

// lose kills a process and starts it again after a while.
func (c *cluster) lose(p *process) {
	p.kill()
	hold(c.upTo(8 * time.Second))
	p.run()
}

func (c *cluster) loseAll(all []*process) {
	killAll(all)
	hold(c.upTo(2 * time.Second))
	for _, p := range all {
		p.run()
	}
}

func (c *cluster) suspend(p *process, d time.Duration) {
	p.pause()
	hold(d)
	p.wake()
}

// cutOff cuts a process off from the others for longer than an election of NATS servers takes, or a takeover.
func (c *cluster) cutOff(p *process) {
	p.cut("back")
	hold(3*time.Second + c.upTo(8*time.Second))
	p.join("back")
}

// zombie stops the leading writer until another leads, and continues it then.
func zombie(c *cluster) {
	c.t.Helper()
	p := c.leader()
	p.arm(fmt.Sprintf("%s:%d=stop", one(c, []string{"append.before", "append.sent", "append.acked"}), 1+c.chance.IntN(20)))
	if !p.awaitHit(startWait) {
		c.t.Fatalf("%s did not stop", p.name)
	}
	eventually(c.t, startWait, "another writer leads", func() bool {
		other := c.leading()
		return other != nil && other != p
	})
	hold(c.upTo(time.Second))
	p.restart()
}

// killSuccessor kills the leader and one standby, and the other one when the record of its epoch has left.
func killSuccessor(c *cluster) {
	c.t.Helper()
	leader := c.leader()
	standbys := c.others(c.writers, leader)
	standbys[0].arm("epoch.sent:1=kill")
	killAll([]*process{leader, standbys[1]})
	if !standbys[0].awaitHit(startWait) {
		c.t.Fatalf("%s did not take over", standbys[0].name)
	}
	for _, p := range c.writers {
		p.restart()
	}
}

// storm kills and starts processes in quick succession.
func storm(c *cluster) {
	for range 12 {
		p := one(c, c.all())
		if c.chance.IntN(4) == 0 {
			p.end(syscall.SIGTERM)
		} else {
			p.kill()
		}
		hold(c.upTo(300 * time.Millisecond))
		p.run()
		hold(c.upTo(time.Second))
	}
}

// island cuts the network in two: on each side are clients and a reader, but a majority of NATS servers on one side only.
func island(c *cluster) {
	c.t.Helper()
	alone := []*process{c.streamLeader(), c.leader(), one(c, c.readers)}
	for _, p := range alone {
		p.move("back", "island")
	}
	hold(3*time.Second + c.upTo(8*time.Second))
	for _, p := range alone {
		p.move("back", "back")
	}
}

// stale appends a record as a sequencer of an earlier epoch would have, if JetStream's fence had a hole.
func stale(c *cluster) {
	c.t.Helper()
	c.leader().kill() // which ends an epoch
	for _, p := range c.writers {
		p.restart()
	}
	c.leader()
	c.rest() // so that the log stands still
	c.forge(&events.Record{Kind: events.KindCommits, Epoch: 1})
	c.resume()
}

// forge appends a record with a commit that nobody has asked for. It passes the fence: only what the record says is wrong.
func (c *cluster) forge(r *events.Record) {
	c.t.Helper()
	effect := events.Effect{Key: key("k", 0), Value: kv.Value{Encoding: kv.EncodingBytes, Data: []byte("forged")}}
	r.Commits = []events.Commit{{ID: ulid.ULID(c.prover.newID()), Effects: []events.Effect{effect}}}
	eventually(c.t, startWait, "a record is forged", func() bool {
		ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
		defer cancel()
		log, err := natslog.Open(ctx, c.jetStream(), kvDefault)
		if err != nil {
			return false
		}
		stored := c.fetch(kvDefault)
		chain := chainOf(stored)
		r.Time = max(chain.Time, kv.MillisOf(time.Now()))
		_, err = log.Append(ctx, events.Append{Kind: r.Kind, Data: r.Encode(), Last: kv.Position(len(stored)), Epoch: chain.Epoch})
		return err == nil
	})
}

// chainOf reads a log.
func chainOf(log []check.Stored) (chain events.Chain) {
	for _, m := range log {
		if s, err := events.Open(m.Message); err == nil {
			chain.Accept(s)
		}
	}
	return chain
}

// powerCut starts all NATS servers again with what had reached their disks at one moment.
func powerCut(c *cluster) {
	hold(time.Second + c.upTo(2*time.Second)) // the load is well under way
	for _, p := range c.nats {
		p.pause()
	}
	for _, d := range c.disks {
		d.copy()
	}
	killAll(c.nats)
	for i, p := range c.nats {
		c.disks[i].useCopy()
		p.run()
	}
}

// flip changes a bit on one server's disk, has that server look at what it has there, and all readers replay the log. NATS
// drops the messages about a damaged one from its copy, and says that it is healthy. So the server gets an empty disk then, as
// operators are told.
func flip(c *cluster) {
	c.t.Helper()
	p := one(c, c.nats)
	stream := filepath.Join(c.dir, p.name, "jetstream/$G/streams/millpond_"+kvDefault, "msgs")
	p.end(syscall.SIGTERM)
	c.flipBit(filepath.Join(stream, "*.blk"))
	if c.chance.IntN(2) == 0 { // NATS trusts its index, until a crash
		p.run()
		hold(time.Second + c.upTo(2*time.Second))
		p.kill()
	} else if err := os.Remove(filepath.Join(stream, "index.db")); err != nil {
		c.t.Fatal(err)
	}
	p.run()
	hold(time.Second + c.upTo(3*time.Second))
	killAll(c.readers)
	for _, r := range c.readers {
		c.forget(r)
		r.run()
	}
	hold(2*time.Second + c.upTo(4*time.Second))
	r, err := c.replicaAt(p, kvDefault)
	s, failed := c.stream(kvDefault)
	c.tally.count(fmt.Sprintf("flipped bits after which the server's copy is whole: %v", err == nil && failed == nil && r.whole(s.State.FirstSeq)))
	p.kill()
	if err := os.RemoveAll(filepath.Join(c.dir, p.name, "jetstream")); err != nil {
		c.t.Fatal(err)
	}
	p.run()
	p.await()
}

// flipBit flips one bit in one of the files of a pattern.
func (c *cluster) flipBit(pattern string) {
	c.t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		c.t.Fatalf("no file %s: %v", pattern, err)
	}
	name := one(c, files)
	content, err := os.ReadFile(name)
	if err != nil || len(content) == 0 {
		c.t.Fatalf("%s has %d bytes: %v", name, len(content), err)
	}
	bit := c.chance.IntN(len(content) * 8)
	content[bit/8] ^= 1 << (bit % 8)
	if err := os.WriteFile(name, content, 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.t.Logf("flipped bit %d of %s", bit, name)
}

// fillDisks leaves no room on some disks for a while. With a majority of them full, writes must fail, and say so.
func fillDisks(c *cluster, which ...int) {
	c.t.Helper()
	for _, i := range which {
		c.disks[i].fill()
	}
	if len(which) > 1 {
		eventually(c.t, startWait, "writes stop", func() bool {
			return c.prover.commit(c.prover.readers[0], 5*time.Second, c.prover.count) != nil
		})
	} else {
		hold(c.upTo(5 * time.Second))
	}
	for _, i := range which {
		c.disks[i].clear()
		c.nats[i].kill()
		c.nats[i].run()
	}
}
