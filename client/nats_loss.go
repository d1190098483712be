package client

import (
	"context"
	"log/slog"
)

// loss is a time in which no reader serves a watch or a feed. It is logged when it begins and when it ends, however many readers are
// asked meanwhile.
type loss struct {
	what  string
	began bool
}

func (l *loss) note(ctx context.Context, log *slog.Logger, err error) {
	level := slog.LevelWarn
	if l.began {
		level = slog.LevelDebug
	}
	l.began = true
	log.Log(ctx, level, "lost "+l.what+", will ask another reader", "error", err)
}

func (l *loss) end(ctx context.Context, log *slog.Logger) {
	if l.began {
		l.began = false
		log.InfoContext(ctx, l.what+" is served again")
	}
}
