package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
)

type point struct {
	X int `json:"x"`
	Y int `json:"y,omitempty"`
}

func ExampleV8Codec() {
	value, err := client.V8Codec{}.Encode(point{X: 1})
	if err != nil {
		log.Fatal(err)
	}
	v, err := v8.Decode(value.Data)
	fmt.Println(value.Encoding, literal.Format(v), err)
	var p point
	err = client.V8Codec{}.Decode(value, &p)
	fmt.Println(p, err)
	// Output:
	// V8 { x: 1 } <nil>
	// {1 0} <nil>
}

func ExampleJSONCodec() {
	value, err := client.JSONCodec{}.Encode(point{X: 1})
	fmt.Printf("%v %s %v\n", value.Encoding, value.Data, err)
	var p point
	err = client.JSONCodec{}.Decode(value, &p)
	fmt.Println(p, err)
	// Output:
	// bytes {"x":1} <nil>
	// {1 0} <nil>
}

func ExampleProtobufCodec() {
	value, err := client.ProtobufCodec{}.Encode(durationpb.New(time.Second))
	if err != nil {
		log.Fatal(err)
	}
	var d durationpb.Duration
	err = client.ProtobufCodec{}.Decode(value, &d)
	fmt.Println(value.Encoding, d.AsDuration(), err)
	// Output: bytes 1s <nil>
}

func ExampleRawCodec() {
	value, err := client.RawCodec{}.Encode("hello")
	fmt.Printf("%v %s %v\n", value.Encoding, value.Data, err)
	var text string
	err = client.RawCodec{}.Decode(value, &text)
	fmt.Println(text, err)
	// Output:
	// bytes hello <nil>
	// hello <nil>
}

// A Tx reads what it decides by, and writes what it has decided.
func ExampleTx() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	claim := func(name, by string) error {
		return db.Update(ctx, func(tx *client.Tx) error {
			owner, err := client.Get[string](ctx, tx, kv.Key{"names", name})
			if err != nil {
				return err
			}
			if owner.Exists() {
				return fmt.Errorf("%s belongs to %s", name, owner.Value)
			}
			tx.Set(owner.Key, by)
			tx.Sum(kv.Key{"claims"}, 1)
			return nil
		})
	}
	fmt.Println(claim("pond", "alice"))
	fmt.Println(claim("pond", "bob"))
	// Output:
	// <nil>
	// pond belongs to alice
}

func ExampleDB_Count() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	if _, err := db.Atomic().Set(kv.Key{"users", "a"}, 1).Set(kv.Key{"users", "b"}, 2).Set(kv.Key{"n"}, 3).Commit(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(db.Count(ctx, client.Selector{Prefix: kv.Key{"users"}}))
	// Output: 2 <nil>
}

// A Deno.KvU64, which Sum counts with, is a number to typed reads.
func ExampleAtomic_Sum() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	for range 3 {
		if _, err := db.Atomic().Sum(kv.Key{"visits"}, 1).Commit(ctx); err != nil {
			log.Fatal(err)
		}
	}
	visits, err := client.Get[uint64](ctx, db, kv.Key{"visits"})
	fmt.Println(visits.Value, err)
	// Output: 3 <nil>
}
