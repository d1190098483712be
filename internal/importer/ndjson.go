package importer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/ndjson"
	"github.com/millpondkv/millpond/kv"
)

// maxLine bounds a line, in bytes: the largest value in its longest form, with room.
const maxLine = 256 * kv.MaxValueSize

// mostUnread is how many lines may be no entries before the first one that is.
const mostUnread = 10

// ErrNoEntries says that a source is something else than lines with entries. Nothing of it was handed over.
var ErrNoEntries = errors.New("there are no entries in it")

// FromNDJSON returns the entries of lines in the form of @deno/kv-utils, with or without "expireAt". Empty lines are passed
// over. If the first lines are no entries it ends with ErrNoEntries: somebody has named a wrong file.
func FromNDJSON(r io.Reader) Source {
	return func(yield func(Item, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxLine)
		n := 0
		var unread []Item                                                    // lines before the first entry
		begun := false                                                       // there was one
		for len(unread) < mostUnread && lines.Scan() && lines.Err() == nil { // with an error comes what may be a part of a line
			n++
			line := bytes.TrimPrefix(lines.Bytes(), []byte("\xef\xbb\xbf"))
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			item := fromLine(n, string(line))
			if begun = begun || item.Problem == nil; !begun {
				unread = append(unread, item)
				continue
			}
			for _, item := range append(unread, item) {
				if !yield(item, nil) {
					return
				}
			}
			unread = nil
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(Item{}, fmt.Errorf("line %d is longer than any entry can be; is this a file with one entry a line?", n+1))
		case err != nil:
			yield(Item{}, fmt.Errorf("read line %d: %w", n+1, err))
		case len(unread) > 0:
			yield(Item{}, fmt.Errorf("%w; %s: %w", ErrNoEntries, unread[0].Name, unread[0].Problem))
		}
	}
}

func fromLine(n int, line string) Item {
	e, err := ndjson.Parse(line)
	if err != nil {
		return Item{Name: fmt.Sprintf("line %d", n), Problem: err}
	}
	entry := client.RawEntry(e)
	return Item{Name: fmt.Sprintf("line %d, %s", n, e.Key), Entry: &entry}
}
