package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/millpondkv/millpond/internal/cli"
)

// progress shows how many bytes have been read or stored: on a terminal all the time, elsewhere with a line every few seconds.
type progress struct {
	w        io.Writer
	terminal bool

	mu    sync.Mutex // guards what follows
	step  string
	bytes int64
	shown time.Time                // when the last line was written
	bar   *progressbar.ProgressBar // of the step, on a terminal
}

// lineEvery is how often a line is written where there is no terminal.
const lineEvery = 5 * time.Second

func newProgress(w io.Writer) *progress {
	return &progress{w: w, terminal: cli.IsTerminal(w), shown: time.Now()}
}

// add is backup.Config.Progress.
func (p *progress) add(step string, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if step != p.step {
		p.finish()
		p.step, p.bytes = step, 0
	}
	p.bytes += bytes
	if p.terminal {
		p.show(bytes)
	} else if now := time.Now(); now.Sub(p.shown) >= lineEvery {
		p.shown = now
		fmt.Fprintf(p.w, "%s %s\n", p.step, sizeText(p.bytes))
	}
}

func (p *progress) show(bytes int64) {
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(-1, progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(p.step),
			progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	p.bar.Add64(bytes)
}

// end clears the terminal's line.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish()
}

func (p *progress) finish() {
	if p.bar != nil {
		p.bar.Finish()
	}
	p.bar, p.step = nil, ""
}
