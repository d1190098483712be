package cluster

import (
	"context"
	"encoding/json"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/nats-io/nats.go"
)

// copyOf is the copy of a database's log on a NATS server.
type copyOf struct{ server, database string }

// askHoles returns how many messages each copy of a log lacks, of those that lack any, as far as the servers say. A copy that was damaged is without
// them, and JetStream does not say so otherwise. It blocks for serversWait at most.
func askHoles(ctx context.Context, conn *nats.Conn, servers int) map[copyOf]uint64 {
	ctx, cancel := context.WithTimeout(ctx, serversWait)
	defer cancel()
	inbox := conn.NewInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil
	}
	defer sub.Unsubscribe()
	if err := conn.PublishRequest(pingJetStream, inbox, []byte(`{"accounts":true,"streams":true,"limit":1024}`)); err != nil {
		return nil
	}
	holes := map[copyOf]uint64{}
	for range servers {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			break
		}
		noteHoles(holes, m.Data)
	}
	return holes
}

// noteHoles takes what one server says; what cannot be read says nothing.
func noteHoles(holes map[copyOf]uint64, data []byte) {
	var answer struct {
		Server struct{ Name string }
		Data   struct {
			Accounts []struct {
				Streams []struct {
					Name  string
					State struct {
						Deleted uint64 `json:"num_deleted"`
					}
				} `json:"stream_detail"`
			} `json:"account_details"`
		}
	}
	if json.Unmarshal(data, &answer) != nil {
		return
	}
	for _, account := range answer.Data.Accounts {
		for _, stream := range account.Streams {
			if database, ok := natslog.DatabaseOf(stream.Name); ok && stream.State.Deleted > 0 {
				holes[copyOf{answer.Server.Name, database}] += stream.State.Deleted
			}
		}
	}
}
