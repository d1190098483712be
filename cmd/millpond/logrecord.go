package main

import (
	"encoding/hex"
	"encoding/json"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/ndjson"
	"github.com/millpondkv/millpond/kv"
)

// recordView is a record as dump-log shows it.
type recordView struct {
	Position kv.Position  `json:"position"`
	Kind     string       `json:"kind"`
	Counts   *bool        `json:"counts,omitempty"`
	Epoch    *kv.Position `json:"epoch,omitempty"` // of an epoch record: the one that it ends
	Time     string       `json:"time,omitempty"`
	Writer   string       `json:"writer,omitempty"` // of an epoch record; "none" resigns
	Lease    string       `json:"lease,omitempty"`  // of that writer
	Size     int          `json:"size"`
	Hash     string       `json:"hash,omitempty"`
	Previous string       `json:"previous,omitempty"`
	Commits  []commitView `json:"commits,omitempty"`
}

type commitView struct {
	Versionstamp string        `json:"versionstamp"`
	ID           string        `json:"id"`
	Effects      []effectView  `json:"effects"`
	Messages     []messageView `json:"messages,omitempty"`
}

type effectView struct {
	Set      json.RawMessage `json:"set,omitempty"`    // the key
	Delete   json.RawMessage `json:"delete,omitempty"` // the key
	Value    json.RawMessage `json:"value,omitempty"`
	ExpireAt string          `json:"expireAt,omitempty"`
}

type messageView struct {
	Payload           json.RawMessage   `json:"payload"`
	Due               string            `json:"due,omitempty"`
	Backoff           []uint32          `json:"backoff,omitempty"` // milliseconds; none is the default
	KeysIfUndelivered []json.RawMessage `json:"keysIfUndelivered,omitempty"`
}

// damagedView is a record that is missing or cannot be read.
type damagedView struct {
	Position kv.Position `json:"position"`
	Problem  string      `json:"problem"`
	Size     int         `json:"size,omitempty"`
	Data     []byte      `json:"data,omitempty"` // base64
}

var kindNames = map[events.Kind]string{events.KindForeign: "foreign", events.KindCommits: "commits", events.KindEpoch: "epoch"}

func viewRecord(s events.Sealed, counts *bool) recordView {
	r := s.Record
	v := recordView{Position: s.Position, Kind: kindNames[r.Kind], Counts: counts, Size: s.Size}
	if s.Foreign { // it is not for what it says
		v.Kind = kindNames[events.KindForeign]
		return v
	}
	v.Epoch, v.Time, v.Hash, v.Previous = &r.Epoch, r.Time.String(), hex.EncodeToString(s.Hash[:]), hex.EncodeToString(r.Previous[:])
	if r.Kind == events.KindEpoch {
		if v.Writer = r.Writer.String(); r.Writer.IsZero() {
			v.Writer = "none"
		}
		if r.Lease != 0 {
			v.Lease = r.Lease.String()
		}
	}
	for i := range r.Commits {
		v.Commits = append(v.Commits, viewCommit(&r.Commits[i], kv.NewVersionstamp(s.Position, uint16(i))))
	}
	return v
}

func viewCommit(c *events.Commit, v kv.Versionstamp) commitView {
	view := commitView{Versionstamp: v.String(), ID: c.ID.String(), Effects: []effectView{}}
	for _, e := range c.Effects {
		if e.Delete {
			view.Effects = append(view.Effects, effectView{Delete: viewKey(e.Key)})
			continue
		}
		effect := effectView{Set: viewKey(e.Key), Value: ndjson.AppendValue(nil, e.Value)}
		if e.ExpireAt != 0 {
			effect.ExpireAt = e.ExpireAt.String()
		}
		view.Effects = append(view.Effects, effect)
	}
	for _, q := range c.Enqueues {
		message := messageView{Payload: ndjson.AppendValue(nil, kv.Value{Encoding: kv.EncodingV8, Data: q.Payload}), Backoff: q.BackoffSchedule}
		if q.Deadline != 0 {
			message.Due = q.Deadline.String()
		}
		for _, key := range q.KeysIfUndelivered {
			message.KeysIfUndelivered = append(message.KeysIfUndelivered, viewKey(key))
		}
		view.Messages = append(view.Messages, message)
	}
	return view
}

// viewKey writes a key with the types of its parts, or as text if it is not the encoding of a key.
func viewKey(encoded kv.EncodedKey) json.RawMessage {
	key, err := encoded.Decode()
	if err != nil {
		text, _ := json.Marshal(encoded.String()) // hex
		return text
	}
	return ndjson.AppendKey(nil, key)
}
