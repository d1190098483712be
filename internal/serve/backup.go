package serve

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/internal/recovery"
	"github.com/millpondkv/millpond/kv"
)

// archives keeps an archive of every database of an engine.
type archives struct {
	config backup.Config // of each, but for its name
	run    backup.RunConfig

	location string
}

// hold names the holds of the archives; empty if there are none.
func (a *archives) hold() string {
	if a == nil {
		return ""
	}
	return recovery.HoldName(a.location)
}

// newArchives returns nil if no archives are to be kept. It refuses settings that cannot work, and asks nobody yet.
func newArchives(c Config, log *slog.Logger) (*archives, error) {
	if c.BackupTo == "" {
		return nil, nil
	}
	blob, err := c.Store.Blob(c.BackupTo)
	if err != nil {
		return nil, err
	}
	recipients, err := c.Recipients()
	if err != nil {
		return nil, err
	}
	return &archives{
		location: c.BackupTo,
		config:   backup.Config{Blob: blob, Recipients: recipients, Now: time.Now, NewID: recovery.NewID(), Logger: log},
		run: backup.RunConfig{
			Every: backup.DefaultEvery, Bytes: backup.DefaultBytes, Merge: backup.DefaultMerge, FullEvery: backup.DefaultFullEvery, Retry: backup.DefaultRetry,
		},
	}, nil
}

// lookEvery is how often is looked for databases that were made since.
const lookEvery = 2 * time.Second

// keep works until ctx ends, and blocks until what was read by then is stored.
func (a *archives) keep(ctx context.Context, e *engine.Engine) {
	var running sync.WaitGroup
	defer running.Wait()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for begun := map[string]bool{}; ; {
		for _, db := range e.Databases() {
			if begun[db.Name()] {
				continue
			}
			begun[db.Name()] = true
			config := a.config
			config.Database = db.Name()
			run := a.run
			run.Archived = recovery.MoveHold(ctx, config.Logger, func(ctx context.Context, at kv.Position) error {
				return db.Archived(ctx, recovery.HoldOf(a.location), at)
			})
			running.Go(func() {
				if err := backup.Open(config).Run(ctx, recovery.Open(db), run); err != nil {
					config.Logger.Error("the last records could not be archived; they will be when the server starts again", "database", db.Name(), "error", err)
				}
			})
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// start begins the work and returns what ends it, and blocks for that. A nil archives has none.
func (a *archives) start(e *engine.Engine) (stop func()) {
	if a == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.keep(ctx, e)
	}()
	return func() {
		cancel()
		<-done
	}
}
