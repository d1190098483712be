package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
)

// maxValueText is how much is read of a value, in bytes: the text of the largest value, with much room.
const maxValueText = 64 * kv.MaxValueSize

// valueForm is how the argument VALUE is to be read.
type valueForm struct{ u64, bytes bool }

func (f valueForm) parse(text string, stdin io.Reader) (kv.Value, error) {
	if f.bytes {
		data, err := readFile(text, stdin)
		return client.Bytes(data), err
	}
	if text == "-" {
		data, err := readAll(stdin, "stdin")
		if err != nil {
			return kv.Value{}, err
		}
		text = string(data)
	}
	if f.u64 {
		n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(text), "n"), 10, 64)
		if err != nil {
			return kv.Value{}, usagef("%q is not a whole number from 0 to 18446744073709551615", text)
		}
		return client.U64(n), nil
	}
	return parseValue(text)
}

// u64Text is how a Deno.KvU64 is shown.
var u64Text = regexp.MustCompile(`^\s*new\s+Deno\.KvU64\(\s*(\d+)n?\s*\)\s*$`)

// parseValue reads what showValue writes. Like Deno it stores a Uint8Array as bytes.
func parseValue(text string) (kv.Value, error) {
	if m := u64Text.FindStringSubmatch(text); m != nil {
		return valueForm{u64: true}.parse(m[1], nil)
	}
	v, err := literal.Parse(text)
	if err != nil {
		return kv.Value{}, usagef("the value is not JavaScript: %w", err)
	}
	if view, ok := v.(*v8.View); ok && view.Kind == v8.KindUint8 {
		return client.Bytes(view.Bytes()), nil
	}
	return client.V8(v)
}

func readFile(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return readAll(stdin, "stdin")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, name)
}

func readAll(r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxValueText+1))
	if err != nil {
		return nil, fmt.Errorf("read the value: %w", err)
	}
	if len(data) > maxValueText {
		return nil, fmt.Errorf("%s is larger than any value can be", name)
	}
	return data, nil
}
