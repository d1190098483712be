package natslog

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
)

// State is how a log is kept, as the leader of its stream says.
type State struct {
	ID              string // the database's UUID
	Messages, Bytes uint64
	First, Last     kv.Position
	Replicas        []Replica // the leader first
	Unsafe          []string  // see Log.Unsafe
}

// Replica is the copy of a log on one NATS server.
type Replica struct {
	Server  string `json:"server"`
	Leader  bool   `json:"leader"`
	Current bool   `json:"current"` // it has what the leader has
	Offline bool   `json:"offline"`
	Lag     uint64 `json:"lag"` // in the steps of the servers' agreement
}

// Describe returns the state of a database's log. It fails while the stream has no leader, after ctx's end at the latest.
func Describe(ctx context.Context, js jetstream.JetStream, database string) (State, error) {
	log, err := Open(ctx, js, database)
	if err != nil {
		return State{}, err
	}
	info := log.stream.CachedInfo()
	s := State{
		ID: log.ID(), Messages: info.State.Msgs, Bytes: info.State.Bytes, Unsafe: log.Unsafe(),
		First: kv.Position(info.State.FirstSeq), Last: kv.Position(info.State.LastSeq),
	}
	if info.Cluster == nil || info.Cluster.Leader == "" {
		return s, fmt.Errorf("the stream %s has no leader", info.Config.Name)
	}
	s.Replicas = []Replica{{Server: info.Cluster.Leader, Leader: true, Current: true}}
	for _, r := range info.Cluster.Replicas {
		s.Replicas = append(s.Replicas, Replica{Server: r.Name, Current: r.Current, Offline: r.Offline, Lag: r.Lag})
	}
	slices.SortFunc(s.Replicas[1:], func(a, b Replica) int { return cmp.Compare(a.Server, b.Server) })
	return s, nil
}
