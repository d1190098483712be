package recovery

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"time"

	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/kv"
)

// HoldName names the hold of the archives at a location.
func HoldName(location string) string {
	sum := sha256.Sum256([]byte(location))
	return fmt.Sprintf("backup-%x", sum[:4])
}

// HoldOf says to people what that hold is of.
func HoldOf(location string) string { return "the backup to " + location }

// holdEvery is how often a hold is moved. The log is kept for so much longer than need be.
const holdEvery = 5 * time.Second

// MoveHold returns a backup.RunConfig.Archived that moves a hold with set, from a goroutine of its own, until ctx ends. It never blocks.
// Without the hold the log may be trimmed before it is archived, so a failure is logged.
func MoveHold(ctx context.Context, logger *slog.Logger, set func(context.Context, kv.Position) error) func(kv.Position) {
	latest := make(chan kv.Position, 1)
	go func() {
		for said := ""; ; {
			select {
			case at := <-latest:
				moving, cancel := context.WithTimeout(ctx, holdEvery)
				err := set(moving, at)
				cancel()
				switch {
				case err == nil:
					said = ""
				case ctx.Err() == nil && err.Error() != said:
					said = err.Error()
					logger.Warn("cannot note what is archived; a log that is trimmed meanwhile takes a new full copy", "error", err)
				}
			case <-ctx.Done():
				return
			}
			select {
			case <-time.After(holdEvery):
			case <-ctx.Done():
				return
			}
		}
	}()
	return func(at kv.Position) {
		select {
		case <-latest: // what has not been taken yet
		default:
		}
		latest <- at // one goroutine archives
	}
}

// SetHold moves the hold of an archive of this database.
func (c *Cluster) SetHold(ctx context.Context, location string, at kv.Position) error {
	log, err := c.open(ctx)
	if err != nil {
		return err
	}
	holds, err := checkpoints.OpenHolds(ctx, log.JetStream(), checkpoints.Config{Replicas: log.Config().Replicas})
	if err != nil {
		return err
	}
	return holds.Set(ctx, c.id, checkpoints.Hold{Name: HoldName(location), Position: at, Of: HoldOf(location), Moved: time.Now()})
}
