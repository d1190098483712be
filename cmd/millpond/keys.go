package main

import (
	"strings"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8/literal"
)

// parseKey reads a key of the command line.
func parseKey(text string) (kv.Key, error) {
	key, err := literal.ParseKey(text)
	switch {
	case err == nil:
		return key, nil
	case !strings.HasPrefix(strings.TrimSpace(text), "["):
		return nil, usagef(`%q is not a key; write an array in quotes, such as '["users", "alice"]'`, text)
	}
	return nil, usagef("%w\n  %s", err, text)
}

func parseKeys(texts []string) ([]kv.Key, error) {
	keys := make([]kv.Key, len(texts))
	for i, text := range texts {
		var err error
		if keys[i], err = parseKey(text); err != nil {
			return nil, err
		}
	}
	return keys, nil
}
