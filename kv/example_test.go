package kv_test

import (
	"fmt"
	"math/big"
	"sort"

	"github.com/millpondkv/millpond/kv"
)

func ExampleKey() {
	key := kv.Key{"users", 1, big.NewInt(2), true, []byte{3}}
	encoded, err := key.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(key)
	fmt.Printf("%x\n", string(encoded))
	// Output:
	// ["users", 1, 2n, true, new Uint8Array([3])]
	// 0275736572730021bff0000000000000150227010300
}

func ExampleKey_Encode_invalid() {
	_, err := kv.Key{"users", nil}.Encode()
	fmt.Println(err)
	// Output: key part 1 is of type nil; use string, []byte, bool, *big.Int, a float or an integer
}

// The bytes of encoded keys sort as the keys do, so that any ordered store can hold them.
func ExampleEncodedKey() {
	keys := []kv.EncodedKey{
		kv.Key{"b"}.MustEncode(),
		kv.Key{true}.MustEncode(),
		kv.Key{-1}.MustEncode(),
		kv.Key{"a", 2}.MustEncode(),
		kv.Key{"a", 10}.MustEncode(),
		kv.Key{"a"}.MustEncode(),
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i] < keys[j] })
	for _, key := range keys {
		fmt.Println(key)
	}
	// Output:
	// ["a"]
	// ["a", 2]
	// ["a", 10]
	// ["b"]
	// [-1]
	// [true]
}

func ExampleEncodedKey_Decode() {
	key, err := kv.EncodedKey("\x02users\x00\x21\xbf\xf0\x00\x00\x00\x00\x00\x00").Decode()
	fmt.Println(key, err)
	_, err = kv.EncodedKey("\x02users").Decode()
	fmt.Println(err)
	// Output:
	// ["users", 1] <nil>
	// part 0 of the key is cut off
}

func ExampleVersionstamp() {
	v := kv.NewVersionstamp(4711, 2)
	fmt.Println(v, "is commit", v.Index(), "of the record at", v.Position())
	// Output: 00000000000012670002 is commit 2 of the record at 4711
}

func ExampleParseVersionstamp() {
	v, err := kv.ParseVersionstamp("00000000000012670002")
	fmt.Println(v.Position(), v.Index(), err)
	_, err = kv.ParseVersionstamp("4711")
	fmt.Println(err)
	// Output:
	// 4711 2 <nil>
	// the versionstamp "4711" is not 20 hex digits
}

func ExampleAtomic_Validate() {
	counter := kv.Key{"requests"}.MustEncode()
	a := kv.Atomic{Mutations: []kv.Mutation{
		{Type: kv.MutationDelete, Key: kv.Key{"old"}.MustEncode()},
		{Type: kv.MutationSum, Key: counter, Value: kv.Value{Encoding: kv.EncodingLE64, Data: []byte{1}}},
	}}
	fmt.Println(a.Validate(0, false))
	// Output: mutation 1: the LE64 value is 1 bytes; it must be exactly 8
}
