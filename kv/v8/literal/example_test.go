package literal_test

import (
	"fmt"

	"github.com/millpondkv/millpond/kv/v8/literal"
)

func ExampleParse() {
	v, err := literal.Parse(`{ name: 'alice', tags: new Set(["a", "b"]), big: 2n ** 2n }`)
	fmt.Println(v, err)
	v, err = literal.Parse(`{ name: 'alice', tags: new Set(["a", "b"]), big: 4n }`)
	fmt.Println(literal.Format(v), err)
	// Output:
	// <nil> line 1, column 53: expected ',' or '}', found '*'
	// { name: "alice", tags: new Set(["a", "b"]), big: 4n } <nil>
}

func ExampleParseKey() {
	key, err := literal.ParseKey(`["users", 1, 2n, true, new Uint8Array([1, 2])]`)
	fmt.Println(key, err)
	_, err = literal.ParseKey(`["users", {}]`)
	fmt.Println(err)
	// Output:
	// ["users", 1, 2n, true, new Uint8Array([1, 2])] <nil>
	// key part 1 is {}; a part is a string, a number, a bigint such as 2n, true, false, or new Uint8Array([…])
}
