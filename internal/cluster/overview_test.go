package cluster

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/service"
)

// What processes and streams say is put together: the leader is the one of the latest epoch, and the lag of a reader is counted
// from the highest position that anybody knows of.
func TestOverviewFill(t *testing.T) {
	var o Overview
	o.fill([]service.Status{
		{Process: "r", Role: service.RoleReader, Databases: []service.DatabaseStatus{
			{Name: "orders", Epoch: 5, Position: 6}, {Name: "absent", Epoch: 1, Position: 2},
		}},
		{Process: "new", Role: service.RoleWriter, Databases: []service.DatabaseStatus{{Name: "orders", Epoch: 5, Position: 9, Leading: true}}},
		{Process: "old", Role: service.RoleWriter, Databases: []service.DatabaseStatus{{Name: "orders", Epoch: 2, Position: 4, Leading: true}}},
	}, map[string]state{
		"orders": {State: natslog.State{Messages: 8, Bytes: 800, Last: 8}},
		"silent": {err: errors.New("no leader")},
	})
	want := Overview{
		Databases: []DatabaseView{
			{Name: "absent", Epoch: 1, End: 2, Problem: "JetStream does not tell of it"},
			{Name: "orders", Leader: "new", Epoch: 5, End: 9, Messages: 8, Bytes: 800},
			{Name: "silent", Problem: "no leader"},
		},
		Readers: []ReplicaView{{Process: "r", Database: "absent", Position: 2}, {Process: "r", Database: "orders", Position: 6, Lag: 3}},
		Writers: []WriterView{{Process: "new", Database: "orders", Position: 9, Leading: true}, {Process: "old", Database: "orders", Position: 4, Leading: true}},
	}
	if diff := cmp.Diff(o, want); diff != "" {
		t.Errorf("got (-), want (+):\n%s", diff)
	}
}

// Each thing that an operator has to look at is a warning, and nothing else is.
func TestOverviewWarnings(t *testing.T) {
	const name = "orders"
	healthy := func() ([]service.Status, map[string]state, Servers) {
		return []service.Status{
				{Process: "r", Role: service.RoleReader, Databases: []service.DatabaseStatus{{Name: name, Epoch: 1, Position: 1}}},
				{Process: "w", Role: service.RoleWriter, Databases: []service.DatabaseStatus{{Name: name, Epoch: 1, Position: 1, Leading: true}}},
				{Process: "x", Role: service.RoleWriter, Databases: []service.DatabaseStatus{{Name: name, Epoch: 1, Position: 1}}},
			}, map[string]state{name: {State: natslog.State{Last: 1, Replicas: []natslog.Replica{
				{Server: "a", Leader: true, Current: true}, {Server: "b", Current: true}, {Server: "c", Current: true},
			}}}}, Servers{Known: []Server{{Name: "a", SyncAlways: true}}, Size: 1}
	}
	for want, change := range map[string]func(p []service.Status, s map[string]state, servers *Servers){
		"":                      func([]service.Status, map[string]state, *Servers) {},
		"no kvwriter answers":   func(p []service.Status, _ map[string]state, _ *Servers) { p[1], p[2] = p[0], p[0] },
		"no kvreader answers":   func(p []service.Status, _ map[string]state, _ *Servers) { p[0] = p[1] },
		"r answers and has no":  func(p []service.Status, _ map[string]state, _ *Servers) { p[0].Databases = nil },
		"has no leader":         func(p []service.Status, _ map[string]state, _ *Servers) { p[1].Databases[0].Leading = false },
		"r cannot read the log": func(p []service.Status, _ map[string]state, _ *Servers) { p[0].Databases[0].Damaged = true },
		"w cannot read the log": func(p []service.Status, _ map[string]state, _ *Servers) { p[1].Databases[0].Damaged = true },
		`r does not serve the database "orders": it waits`: func(p []service.Status, _ map[string]state, _ *Servers) { p[0].Databases[0].Problem = "it waits" },
		`x does not stand by for the database "orders": it waits`: func(p []service.Status, _ map[string]state, _ *Servers) {
			p[2] = service.Status{Process: "x", Role: service.RoleWriter, Databases: []service.DatabaseStatus{{Name: name, Problem: "it waits"}}}
		},
		"on b is offline":          func(_ []service.Status, s map[string]state, _ *Servers) { s[name].Replicas[1].Offline = true },
		"on b has lost 3 messages": func(_ []service.Status, s map[string]state, _ *Servers) { s[name].Replicas[1].Holes = 3 },
		"on c has not caught up":   func(_ []service.Status, s map[string]state, _ *Servers) { s[name].Replicas[2].Current = false },
		"does not answer: timeout": func(_ []service.Status, s map[string]state, _ *Servers) { s[name] = state{err: errors.New("timeout")} },
		"UNSAFE: the stream": func(_ []service.Status, s map[string]state, _ *Servers) {
			s[name] = state{State: natslog.State{Unsafe: []string{"the stream is bad"}}}
		},
		"UNSAFE: acks come before": func(_ []service.Status, _ map[string]state, servers *Servers) { servers.Known[0].SyncAlways = false },
		"it is not known":          func(_ []service.Status, _ map[string]state, servers *Servers) { servers.Unknown = "it is not known" },
	} {
		processes, states, servers := healthy()
		change(processes, states, &servers)
		o := Overview{Servers: servers}
		o.fill(processes, states)
		o.warn(processes, states)
		if want == "" && len(o.Warnings) > 0 {
			t.Errorf("of a healthy cluster: %q", o.Warnings)
		}
		if want != "" && (len(o.Warnings) != 1 || !strings.Contains(o.Warnings[0], want)) {
			t.Errorf("got %q; want one warning with %q", slices.Clip(o.Warnings), want)
		}
	}
}
