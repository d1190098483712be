package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/internal/cli"
)

// reportEvery is the time between two lines of progress where there is no terminal.
const reportEvery = 5 * time.Second

// entryProgress shows on stderr how far a long command has come: a bar on a terminal, a line now and then elsewhere.
type entryProgress struct {
	w        io.Writer
	what     string                   // "imported" or the like
	bar      *progressbar.ProgressBar // nil without a terminal
	reported time.Time
	total    int // -1: not known
}

func newEntryProgress(cmd *cobra.Command, what string, total int) *entryProgress {
	p := &entryProgress{w: cmd.ErrOrStderr(), what: what, total: total, reported: time.Now()}
	if cli.IsTerminal(p.w) {
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("entries"),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
			progressbar.OptionEnableColorCodes(os.Getenv("NO_COLOR") == ""))
	}
	return p
}

// at says that n items are done.
func (p *entryProgress) at(n int) {
	switch {
	case p.bar != nil:
		p.bar.Set(n) // its error is the terminal's
	case time.Since(p.reported) < reportEvery:
	case p.total >= 0:
		p.reported = time.Now()
		fmt.Fprintf(p.w, "%s %d of %d\n", p.what, n, p.total)
	default:
		p.reported = time.Now()
		fmt.Fprintf(p.w, "%s %d\n", p.what, n)
	}
}

// line writes a line to stderr that stays.
func (p *entryProgress) line(format string, args ...any) {
	p.clear()
	fmt.Fprintf(p.w, format+"\n", args...)
}

// clear takes the bar away; the next at shows it again.
func (p *entryProgress) clear() {
	if p.bar != nil {
		p.bar.Clear()
	}
}
