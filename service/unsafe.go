package service

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/nats-io/nats.go/jetstream"
)

// unsafeError refuses a database whose log could lose or change records. It is not served until that is mended.
type unsafeError struct{ found []string }

func (e *unsafeError) Error() string {
	return "the log could lose commits that were answered: " + strings.Join(e.found, "; and ")
}

func isUnsafe(err error) bool {
	var unsafe *unsafeError
	return errors.As(err, &unsafe)
}

// openSafe opens a log, and refuses it with an unsafeError if its stream is unsafe and that is not allowed. Every log is
// opened by this, so a database that is made after the start is looked at too.
func openSafe(ctx context.Context, js jetstream.JetStream, database string,
	open func(context.Context, jetstream.JetStream, string) (*natslog.Log, error), allowUnsafe bool) (*natslog.Log, error) {
	log, err := open(ctx, js, database)
	if err != nil || allowUnsafe {
		return log, err
	}
	if found := log.Unsafe(); len(found) > 0 {
		return nil, fmt.Errorf("open the log of %q: %w", database, &unsafeError{found})
	}
	return log, nil
}
