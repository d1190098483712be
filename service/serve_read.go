package service

import (
	"context"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/nats-io/nats.go"
)

// read answers all reads of a message from one snapshot.
func (v *server) read(m *nats.Msg) {
	body := v.readBody(m)
	for _, part := range wire.Split(body, int(v.conn.MaxPayload())) {
		v.respond(m, part)
	}
}

func (v *server) readBody(m *nats.Msg) []byte {
	reads, err := wire.DecodeReads(m.Data)
	if err != nil {
		v.refuse(m, err)
		return wire.EncodeReadRefusal(err)
	}
	replies := make([]wire.ReadReply, len(reads.Requests))
	all, err := v.ranges(m, reads.Requests, replies)
	if err != nil {
		v.refuse(m, err)
		return wire.EncodeReadRefusal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	d, err := v.database(ctx, m, false)
	if err != nil {
		return wire.EncodeReadRefusal(err)
	}
	snapshot, err := d.read(ctx, all, reads)
	if err != nil {
		return wire.EncodeReadRefusal(err)
	}
	entries := snapshot.Entries
	for i := range replies {
		n := len(replies[i].Ranges)
		copy(replies[i].Ranges, entries)
		entries = entries[n:]
	}
	return wire.EncodeReadReplies(snapshot.Chain.Applied, replies)
}

// ranges returns the ranges of all requests that are valid, whose replies get room for as many lists; the others are refused
// alone.
func (v *server) ranges(m *nats.Msg, requests [][]byte, replies []wire.ReadReply) (all []kv.Range, err error) {
	all = make([]kv.Range, 0, len(requests))
	entries := 0
	for i, request := range requests {
		ranges, err := wire.DecodeRanges(request)
		if err != nil {
			v.refuse(m, err)
		} else {
			err = kv.ValidateBounds(ranges, wire.MaxEntries)
		}
		if err != nil {
			replies[i].Err = err
			continue
		}
		for _, r := range ranges {
			entries += r.Limit
		}
		replies[i].Ranges = make([][]kv.Entry, len(ranges))
		all = append(all, ranges...)
	}
	if entries > wire.MaxEntries {
		return nil, kv.Invalidf("the reads of one message ask for %d entries; at most %d are allowed", entries, wire.MaxEntries)
	}
	return all, nil
}
