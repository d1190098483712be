package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/lmittmann/tint"
	"golang.org/x/term"
)

// NewLogger returns a logger of a format (auto, text or json) and a level (debug, info, warn or error). The format auto is for
// people if w is a terminal, and text elsewhere.
func NewLogger(format, level string, w io.Writer) (*slog.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("the log level %q is not one of debug, info, warn and error", level)
	}
	options := &slog.HandlerOptions{Level: least}
	switch {
	case format == "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	case format == "auto" && IsTerminal(w):
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: least, NoColor: os.Getenv("NO_COLOR") != ""})), nil
	case format == "auto", format == "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return nil, fmt.Errorf("the log format %q is not one of auto, text and json", format)
}

// IsTerminal reports whether stream is a file that is a terminal.
func IsTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
