package literal

import (
	"fmt"
	"math/big"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
)

// ParseKey reads a key, written as an array such as ["users", 1, 2n, true, new Uint8Array([1, 2])]. It reads what
// kv.Key.String writes. An error is kv.ErrInvalid.
func ParseKey(s string) (kv.Key, error) {
	v, err := Parse(s)
	if err != nil {
		return nil, kv.Invalidf(`the key is not an array such as ["users", 1]: %s`, err)
	}
	array, ok := v.(*v8.Array)
	if !ok {
		return nil, kv.Invalidf(`a key is an array such as ["users", 1], not %s`, shorten(Format(v)))
	}
	elements, err := dense(array)
	if err != nil {
		return nil, kv.Invalidf("the key: %s", err)
	}
	key := make(kv.Key, 0, len(elements))
	for i, v := range elements {
		part, err := keyPart(v)
		if err != nil {
			return nil, kv.Invalidf("key part %d is %s; %s", i, shorten(Format(v)), err)
		}
		key = append(key, part)
	}
	_, err = key.Encode()
	return key, err
}

func keyPart(v any) (any, error) {
	switch v := v.(type) {
	case string, float64, *big.Int, bool:
		return v, nil
	case *v8.View:
		if v.Kind == v8.KindUint8 {
			return v.Bytes(), nil
		}
	}
	return nil, fmt.Errorf("a part is a string, a number, a bigint such as 2n, true, false, or new Uint8Array([…])")
}
