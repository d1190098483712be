package natslog

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// after is in JSON the place after which the log of a restored database begins. Nobody reigns there.
type after struct {
	Applied kv.Position `json:"applied"`
	Epoch   kv.Position `json:"epoch"`
	Counted kv.Position `json:"counted"`
	Hash    string      `json:"hash"`
	Time    kv.Millis   `json:"time"`
}

func afterText(c events.Chain) string {
	text, err := json.Marshal(after{c.Applied, c.Epoch, c.Counted, hex.EncodeToString(c.Hash[:]), c.Time})
	if err != nil {
		panic(err) // numbers and a string
	}
	return string(text)
}

func parseAfter(text string) (c events.Chain, err error) {
	if text == "" {
		return c, nil
	}
	var a after
	err = json.Unmarshal([]byte(text), &a)
	hash, hashErr := hex.DecodeString(a.Hash)
	if err != nil || hashErr != nil || len(hash) != len(c.Hash) {
		return c, fmt.Errorf("its %s is no place of a log: %q", metadataAfter, text)
	}
	return events.Chain{Applied: a.Applied, Epoch: a.Epoch, Counted: a.Counted, Hash: events.Hash(hash), Time: a.Time}, nil
}

// After returns the place after which the log begins, that of the state which its database began with; zero if it begins with
// nothing, and if an older Millpond has restored it.
func (l *Log) After() events.Chain { return l.after }
