package kvconnect

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millpondkv/millpond/kv"
)

// The decoders translate the bodies of requests into the types of package kv. They refuse what these types cannot hold
// and, before they allocate, too many items: a body of the largest size has room for a million. The rest of the rules is
// in kv/validate.go. Keys are copied, values may share the body's array.

// decodeSnapshotRead reads a SnapshotRead.
func decodeSnapshotRead(body []byte) ([]kv.Range, error) {
	n := count(body)[readRanges]
	if err := kv.ValidateRangeCount(n); err != nil {
		return nil, err
	}
	ranges := make([]kv.Range, 0, n)
	for f, err := range fields(body) {
		if err != nil {
			return nil, err
		}
		if !f.isBytes(readRanges) {
			continue
		}
		r, err := decodeRange(f.bytes)
		if err != nil {
			return nil, at("range", len(ranges), err)
		}
		ranges = append(ranges, r)
	}
	return ranges, nil
}

func decodeRange(message []byte) (r kv.Range, err error) {
	for f, err := range fields(message) {
		switch {
		case err != nil:
			return r, err
		case f.isBytes(rangeStart):
			r.Start = kv.EncodedKey(f.bytes)
		case f.isBytes(rangeEnd):
			r.End = kv.EncodedKey(f.bytes)
		case f.isNumber(rangeLimit):
			r.Limit = int(int32(f.number))
		case f.isNumber(rangeReverse):
			r.Reverse = protowire.DecodeBool(f.number)
		}
	}
	return r, nil
}

// decodeWatch reads a Watch.
func decodeWatch(body []byte) ([]kv.EncodedKey, error) {
	n := count(body)[watchKeys]
	if err := kv.ValidateWatchCount(n); err != nil {
		return nil, err
	}
	keys := make([]kv.EncodedKey, 0, n)
	for f, err := range fields(body) {
		if err != nil {
			return nil, err
		}
		if !f.isBytes(watchKeys) {
			continue
		}
		key, err := decodeWatchKey(f.bytes)
		if err != nil {
			return nil, at("watched key", len(keys), err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func decodeWatchKey(message []byte) (key kv.EncodedKey, err error) {
	for f, err := range fields(message) {
		if err != nil {
			return "", err
		}
		if f.isBytes(watchKeyKey) {
			key = kv.EncodedKey(f.bytes)
		}
	}
	return key, nil
}

// at says which item of a request err is about; indexes count from 0, as in kv/validate.go.
func at(what string, index int, err error) error {
	return kv.Invalidf("%s %d: %v", what, index, err)
}
