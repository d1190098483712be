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

// FromNDJSON returns the entries of lines in the form of @deno/kv-utils, with or without "expireAt". Empty lines are passed
// over.
func FromNDJSON(r io.Reader) Source {
	return func(yield func(Item, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxLine)
		n := 0
		for lines.Scan() {
			n++
			line := bytes.TrimPrefix(lines.Bytes(), []byte("\xef\xbb\xbf"))
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			if !yield(fromLine(n, string(line)), nil) {
				return
			}
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(Item{}, fmt.Errorf("line %d is longer than any entry can be; is this a file with one entry a line?", n+1))
		case err != nil:
			yield(Item{}, fmt.Errorf("read line %d: %w", n+1, err))
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
