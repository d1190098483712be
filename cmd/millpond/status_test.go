package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/internal/cluster"
	"github.com/millpondkv/millpond/service"
)

// The status is a table for each kind of thing, then what needs attention; a kind that there is nothing of is left out.
func TestStatusTable(t *testing.T) {
	var out strings.Builder
	err := writeOverview(&out, &cluster.Overview{
		Databases: []cluster.DatabaseView{
			{Name: "default", Leader: "kvwriter a 1", Epoch: 7, End: 1234, First: 900, Messages: 1234, Bytes: 12 << 20, Checkpoint: &cluster.CheckpointView{Position: 1200},
				Holds: []checkpoints.Hold{{Name: "backup-1", Position: 900, Of: "the backup to /backup"}}, Replicas: []natslog.Replica{
					{Server: "nats1", Leader: true, Current: true}, {Server: "nats2", Current: true}, {Server: "nats3", Offline: true, Lag: 4}, {Server: "nats4", Lag: 2},
				}},
			{Name: "orders", Problem: "no leader"},
		},
		Readers: []cluster.ReplicaView{{Process: "kvreader b 1", Database: "default", Position: 1230, Lag: 4}, {Process: "kvreader c 1", Database: "default", Position: 3, Damaged: true}, {Process: "kvreader d 1", Database: "default", Lag: 1234, Problem: "it is being opened"}},
		Writers: []cluster.WriterView{
			{Process: "kvwriter a 1", Database: "default", Position: 1234, Leading: true}, {Process: "kvwriter b 1", Database: "default", Position: 1230},
			{Process: "kvwriter c 1", Database: "default", Problem: "the log ends at 4 and had 5"}, {Process: "kvwriter d 1", Database: "default", Position: 7, Damaged: true, Problem: "a gap"},
		},
		Servers: cluster.Servers{Known: []cluster.Server{{Name: "nats1", Version: "2.15.2", SyncAlways: true}, {Name: "nats2", Version: "2.15.2"}}, Size: 3},
		Warnings: []string{
			"no kvwriter answers",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `DATABASE  LEADER        EPOCH  END
default   kvwriter a 1  7      1234
orders    -             0      0

READER        DATABASE  POSITION  LAG
kvreader b 1  default   1230      4
kvreader c 1  default   3         0 DAMAGED
kvreader d 1  default   0         1234 NOT SERVED: it is being opened

WRITER        DATABASE  POSITION  DUTY
kvwriter a 1  default   1234      leading
kvwriter b 1  default   1230      standing by
kvwriter c 1  default   0         NOT STANDING BY: the log ends at 4 and had 5
kvwriter d 1  default   7         DAMAGED

STREAM OF  FIRST  MESSAGES  SIZE    CHECKPOINT  REPLICAS
default    900    1234      12 MiB  1200        nats1 leads, nats2 current, nats3 OFFLINE by 4, nats4 BEHIND by 2
orders     -      -         -       -           no answer

LOG OF   HELD AT  BY                     HOLD
default  900      the backup to /backup  backup-1

NATS SERVER  VERSION  SYNCS
nats1        2.15.2   always
nats2        2.15.2   NOT ALWAYS
(1 more)     -        not known

! no kvwriter answers
`
	if diff := cmp.Diff(out.String(), want); diff != "" {
		t.Errorf("got (-), want (+):\n%s", diff)
	}
}

// A process whose digest is not that of the majority differs. Without a majority all do, and one that was not compared says why.
func TestVerifyTable(t *testing.T) {
	digest := func(process, digest string) service.Digest {
		return service.Digest{Process: process, Position: 9, Digest: digest}
	}
	var out strings.Builder
	err := writeVerdicts(&out, []service.Verdict{
		{Database: "a", Digests: []service.Digest{digest("r1", "0123456789abcdef0123"), digest("r2", "ffff"), digest("w", "0123456789abcdef0123")}},
		{Database: "b", Digests: []service.Digest{digest("r1", "1111"), digest("r2", "2222"), {Process: "w", Position: 8, Problem: "it did not answer"}, {Process: "x", Problem: "others lead it", Absent: true}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `DATABASE  PROCESS  POSITION  DIGEST            VERDICT
a         r1       9         0123456789abcdef  ok
a         r2       9         ffff              DIFFERS
a         w        9         0123456789abcdef  ok
b         r1       9         1111              DIFFERS
b         r2       9         2222              DIFFERS
b         w        8         -                 NOT COMPARED: it did not answer
b         x        0         -                 absent: others lead it
`
	if diff := cmp.Diff(out.String(), want); diff != "" {
		t.Errorf("got (-), want (+):\n%s", diff)
	}
}
