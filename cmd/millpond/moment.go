package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

// momentHelp is how a moment is written, for the help of commands that take one.
const momentHelp = `A moment is a time (2026-01-31T12:00:00Z, with a zone), a date (2026-01-31, the beginning of that
day in UTC), how long ago (-90s, -10m, -36h, -7d), or the versionstamp of a commit. At a time the
state is that after the last commit that was not later.`

// momentFlag is a flag that names a moment of the past. One that is not given is now.
type momentFlag struct{ moment kv.Moment }

func bindMoment(cmd *cobra.Command, name, usage string) *momentFlag {
	m := &momentFlag{}
	cmd.Flags().Var(m, name, usage)
	return m
}

func (m *momentFlag) String() string {
	if m.moment == (kv.Moment{}) {
		return ""
	}
	return m.moment.String()
}

func (m *momentFlag) Type() string { return "moment" }

func (m *momentFlag) Set(text string) (err error) {
	m.moment = kv.Moment{}
	if len(text) == 2*len(kv.Versionstamp{}) {
		if v, err := kv.ParseVersionstamp(text); err == nil && !v.IsZero() {
			m.moment.Versionstamp = v
			return nil
		}
	}
	if m.moment.Time, err = pastTime(text, time.Now()); err != nil {
		return fmt.Errorf("%w, or the versionstamp of a commit", err)
	}
	return nil
}

func (m *momentFlag) given() bool { return m.moment != kv.Moment{} }

// reader returns what reads at the moment.
func (m *momentFlag) reader(db *client.DB) interface {
	client.Reader
	client.Lister
} {
	if m.given() {
		return db.At(m.moment)
	}
	return db
}

// pastTime reads a time, a date, or how long ago it was.
func pastTime(text string, now time.Time) (kv.Millis, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		at, err = time.Parse(time.DateOnly, text)
	}
	if ago, isAgo := strings.CutPrefix(text, "-"); isAgo {
		var d time.Duration
		d, err = parseAge(ago)
		at = now.Add(-d)
	}
	if err != nil || at.UnixMilli() <= 0 || kv.MillisOf(at) > kv.MaxMillis {
		return 0, fmt.Errorf("%q is not a time; write it as 2026-01-31T12:00:00Z, as 2026-01-31, or as -10m for ten minutes ago", text)
	}
	return kv.MillisOf(at), nil
}

// parseAge reads a duration; "d" is 24 hours.
func parseAge(text string) (time.Duration, error) {
	days, isDays := strings.CutSuffix(text, "d")
	if !isDays {
		d, err := time.ParseDuration(text)
		if d < 0 {
			err = strconv.ErrRange
		}
		return d, err
	}
	n, err := strconv.ParseUint(days, 10, 16)
	return time.Duration(n) * 24 * time.Hour, err
}
