package kv_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/millpondkv/millpond/kv"
)

func TestNames(t *testing.T) {
	for _, c := range []struct {
		got  fmt.Stringer
		want string
	}{
		{kv.EncodingV8, "V8"},
		{kv.EncodingLE64, "LE64"},
		{kv.EncodingBytes, "bytes"},
		{kv.Encoding(9), "encoding 9"},
		{kv.MutationSet, "set"},
		{kv.MutationDelete, "delete"},
		{kv.MutationSum, "sum"},
		{kv.MutationMin, "min"},
		{kv.MutationMax, "max"},
		{kv.MutationSetSuffix, "set with a versionstamp suffix"},
		{kv.MutationType(200), "mutation type 200"},
	} {
		if got := c.got.String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestEntryExists(t *testing.T) {
	if (kv.Entry{Key: "a"}).Exists() {
		t.Error("an entry without a versionstamp exists")
	}
	if !(kv.Entry{Key: "a", Versionstamp: kv.NewVersionstamp(1, 0)}).Exists() {
		t.Error("an entry with a versionstamp is absent")
	}
}

func TestCommitResultOK(t *testing.T) {
	if !(kv.CommitResult{Versionstamp: kv.NewVersionstamp(1, 0)}).OK() {
		t.Error("a result without failed checks is not OK")
	}
	if (kv.CommitResult{FailedChecks: []int{0}}).OK() {
		t.Error("a result with a failed check is OK")
	}
}

// Only what surely changed nothing and may go well the next time is safe to retry.
func TestSafeToRetry(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{io.EOF, false},
		{kv.Invalidf("too large"), false},
		{kv.Errorf(kv.ErrUnauthorized, "no"), false},
		{kv.Errorf(kv.ErrNoDatabase, "no"), false},
		{kv.Errorf(kv.ErrUnknownOutcome, "who knows"), false},
		{kv.Errorf(kv.ErrUnavailable, "no leader"), true},
		{fmt.Errorf("commit: %w", kv.Errorf(kv.ErrUnavailable, "no leader")), true},
	} {
		if got := kv.SafeToRetry(c.err); got != c.want {
			t.Errorf("%v: got %v, want %v", c.err, got, c.want)
		}
	}
	err := kv.Errorf(kv.ErrUnavailable, "no leader for %s", "orders")
	if err.Error() != "no leader for orders" || !errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}
