package wire

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/millpondkv/millpond/kv"
)

func genVersionstamp(t *rapid.T) kv.Versionstamp {
	return kv.NewVersionstamp(kv.Position(rapid.Uint64().Draw(t, "position")), rapid.Uint16().Draw(t, "index"))
}

func genEffect(t *rapid.T) kv.Effect {
	e := kv.Effect{Key: genKey(t), Delete: rapid.Bool().Draw(t, "delete")}
	if !e.Delete {
		e.Value = kv.Value{Encoding: kv.Encoding(rapid.ByteRange(1, 3).Draw(t, "encoding")), Data: genBytes(t, "value")}
		e.ExpireAt = kv.Millis(rapid.Int64Min(0).Draw(t, "expiry"))
	}
	return e
}

func genCommitted(t *rapid.T) kv.Commit {
	return kv.Commit{
		Versionstamp: genVersionstamp(t), Time: kv.Millis(rapid.Int64Min(0).Draw(t, "time")),
		Effects: rapid.SliceOfN(rapid.Custom(genEffect), 1, 5).Draw(t, "effects"),
	}
}

// A feed and its pieces come back as they were, and nothing of half of one.
func TestFeedRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Feed{Least: kv.Position(rapid.Uint64().Draw(t, "least")), Feed: kv.Feed{
			After: genVersionstamp(t), Latest: rapid.Bool().Draw(t, "latest"), Start: genKey(t), End: genKey(t),
		}}
		data := want.Encode()
		got, err := DecodeFeed(data)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
		if _, err := DecodeFeed(data[:rapid.IntRange(0, len(data)-1).Draw(t, "cut")]); !errors.Is(err, kv.ErrInvalid) {
			t.Fatalf("a part of it: %v, want ErrInvalid", err)
		}

		piece := Piece{Number: rapid.Uint64().Draw(t, "number"), Alive: rapid.Bool().Draw(t, "alive")}
		if !piece.Alive {
			piece.Through = genVersionstamp(t)
			if list := rapid.SliceOfN(rapid.Custom(genCommitted), 0, 4).Draw(t, "commits"); len(list) > 0 {
				piece.Commits = list
			}
		}
		data = piece.Encode()
		gotPiece, err := DecodePiece(data)
		if diff := cmp.Diff(piece, gotPiece, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
		if _, err := DecodePiece(data[:rapid.IntRange(0, len(data)-1).Draw(t, "cut")]); !errors.Is(err, kv.ErrInvalid) {
			t.Fatalf("a part of it: %v, want ErrInvalid", err)
		}
	})
}

// The error that ends a feed is told as what it is.
func TestFeedError(t *testing.T) {
	for _, kind := range []error{kv.ErrInvalid, kv.ErrUnavailable, kv.ErrGone} {
		_, err := DecodePiece(EncodeFeedError(kv.Errorf(kind, "because")))
		if !errors.Is(err, kind) || err.Error() != "because" {
			t.Errorf("got %v, want %v", err, kind)
		}
	}
	for _, w := range []Watching{{Number: 1}, {Number: 2, Leaves: true}, {Number: 3, Holds: true}} {
		if got, err := DecodeWatching(w.Encode()); err != nil || got != w {
			t.Errorf("got %+v, %v; want %+v", got, err, w)
		}
	}
}
