package client

import (
	"context"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect/datapath"
)

func (c *connection) Read(ctx context.Context, ranges []kv.Range, _ Consistency) ([][]kv.Entry, error) {
	req := &datapath.SnapshotRead{}
	for _, r := range ranges {
		req.Ranges = append(req.Ranges, &datapath.ReadRange{
			Start: []byte(r.Start), End: []byte(r.End), Limit: int32(r.Limit), Reverse: r.Reverse,
		})
	}
	var results [][]kv.Entry
	err := c.call(ctx, "snapshot_read", req, false, func(answer []byte) (failed *failedTry) {
		results, failed = decodeRead(answer, len(ranges))
		return failed
	})
	return results, err
}

func decodeRead(answer []byte, ranges int) ([][]kv.Entry, *failedTry) {
	var out datapath.SnapshotReadOutput
	if err := proto.Unmarshal(answer, &out); err != nil {
		return nil, garbledf("the server's answer to snapshot_read is not one: %v", err)
	}
	if failed := readStatus(out.Status, out.ReadDisabled); failed != nil {
		return nil, failed
	}
	if !out.ReadIsStronglyConsistent {
		return nil, &failedTry{stale, failure{kind: kv.ErrUnavailable, message: "the server cannot read with strong consistency"}}
	}
	if len(out.Ranges) != ranges {
		return nil, garbledf("the server answered %d of %d ranges", len(out.Ranges), ranges)
	}
	results := make([][]kv.Entry, ranges)
	for i, r := range out.Ranges {
		for _, e := range r.Values {
			entry, failed := decodeEntry(e)
			if failed != nil {
				return nil, failed
			}
			results[i] = append(results[i], entry)
		}
	}
	return results, nil
}

// readStatus is nil if the server has read. Protocol version 2 has no status, but a flag.
func readStatus(status datapath.SnapshotReadStatus, disabled bool) *failedTry {
	if disabled || status == datapath.SnapshotReadStatus_SR_READ_DISABLED {
		return &failedTry{stale, failure{kind: kv.ErrUnavailable, message: "reads are disabled for this database"}}
	}
	return nil
}

func decodeEntry(e *datapath.KvEntry) (entry kv.Entry, failed *failedTry) {
	entry.Key = kv.EncodedKey(e.GetKey())
	entry.Value = kv.Value{Encoding: kv.Encoding(e.GetEncoding()), Data: e.GetValue()}
	entry.ExpireAt = kv.Millis(e.GetExpireAtMs())
	if n := copy(entry.Versionstamp[:], e.GetVersionstamp()); n != len(entry.Versionstamp) || n != len(e.GetVersionstamp()) {
		return entry, garbledf("the server sent a versionstamp of %d bytes", len(e.GetVersionstamp()))
	}
	if entry.Versionstamp.IsZero() {
		return entry, garbledf("the server sent an entry with the versionstamp zero")
	}
	return entry, nil
}

func (c *connection) Commit(ctx context.Context, a *kv.Atomic) (versionstamp kv.Versionstamp, err error) {
	var out datapath.AtomicWriteOutput
	err = c.call(ctx, "atomic_write", encodeAtomic(a), true, func(answer []byte) *failedTry {
		if err := proto.Unmarshal(answer, &out); err != nil {
			return garbledf("the server's answer to atomic_write is not one: %v", err)
		}
		return decodeCommit(&out, len(a.Checks), &versionstamp)
	})
	if err == nil && out.Status == datapath.AtomicWriteStatus_AW_CHECK_FAILURE {
		failed := &CheckError{}
		for _, i := range out.FailedChecks {
			failed.Failed = append(failed.Failed, int(i))
		}
		return versionstamp, failed
	}
	return versionstamp, err
}

func decodeCommit(out *datapath.AtomicWriteOutput, checks int, versionstamp *kv.Versionstamp) *failedTry {
	switch out.Status {
	case datapath.AtomicWriteStatus_AW_SUCCESS:
		if n := copy(versionstamp[:], out.Versionstamp); n != len(versionstamp) || n != len(out.Versionstamp) {
			return garbledf("the server answered with a versionstamp of %d bytes", len(out.Versionstamp))
		}
		return nil
	case datapath.AtomicWriteStatus_AW_CHECK_FAILURE:
		for _, i := range out.FailedChecks {
			if int(i) >= checks {
				return garbledf("the server says that check %d failed, of %d", i, checks)
			}
		}
		return nil
	case datapath.AtomicWriteStatus_AW_WRITE_DISABLED:
		return &failedTry{stale, failure{kind: kv.ErrUnavailable, message: "writes are disabled for this database"}}
	}
	return garbledf("the server answered with the status %d", out.Status)
}

func encodeAtomic(a *kv.Atomic) *datapath.AtomicWrite {
	out := &datapath.AtomicWrite{}
	for _, c := range a.Checks {
		check := &datapath.Check{Key: []byte(c.Key)}
		if c.Versionstamp != nil {
			check.Versionstamp = c.Versionstamp[:]
		}
		out.Checks = append(out.Checks, check)
	}
	for _, m := range a.Mutations {
		mutation := &datapath.Mutation{
			Key: []byte(m.Key), MutationType: datapath.MutationType(m.Type), ExpireAtMs: int64(m.ExpireAt),
			SumMin: m.SumMin, SumMax: m.SumMax, SumClamp: m.SumClamp,
		}
		if m.Type != kv.MutationDelete {
			mutation.Value = &datapath.KvValue{Data: m.Value.Data, Encoding: datapath.ValueEncoding(m.Value.Encoding)}
		}
		out.Mutations = append(out.Mutations, mutation)
	}
	for _, e := range a.Enqueues {
		enqueue := &datapath.Enqueue{Payload: e.Payload, DeadlineMs: int64(e.Deadline), BackoffSchedule: e.BackoffSchedule}
		for _, key := range e.KeysIfUndelivered {
			enqueue.KeysIfUndelivered = append(enqueue.KeysIfUndelivered, []byte(key))
		}
		if e.BackoffSchedule != nil && len(e.BackoffSchedule) == 0 {
			enqueue.ProtoReflect().SetUnknown(emptyBackoff)
		}
		out.Enqueues = append(out.Enqueues, enqueue)
	}
	return out
}

// emptyBackoff is the field of an empty schedule, which protobuf leaves out: a message without the field has the default
// schedule. Millpond takes it for no retries; other servers see no difference.
var emptyBackoff = protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), nil)
