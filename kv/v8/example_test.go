package v8_test

import (
	"fmt"
	"time"

	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
)

func ExampleDecode() {
	data := []byte("\xff\x10o\"\x04name\"\x05alice\"\x05scoreI\x54{\x02") // as Deno wrote it
	v, err := v8.Decode(data)
	if err != nil {
		fmt.Println(err)
		return
	}
	name, _ := v.(*v8.Object).Get("name")
	fmt.Println(name)
	fmt.Println(literal.Format(v))
	// Output:
	// alice
	// { name: "alice", score: 42 }
}

func ExampleEncode() {
	data, err := v8.Encode(&v8.Object{Properties: []v8.Property{
		{Key: "name", Value: "alice"},
		{Key: "joined", Value: v8.NewDate(time.Unix(0, 0))},
		{Key: "avatar", Value: v8.Uint8Array([]byte{1, 2})},
	}})
	fmt.Printf("%q %v\n", data, err)
	// Output:
	// "\xff\x0fo\"\x04name\"\x05alice\"\x06joinedD\x00\x00\x00\x00\x00\x00\x00\x00\"\x06avatarB\x02\x01\x02VB\x00\x02\x00{\x03" <nil>
}
