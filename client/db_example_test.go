package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

func ExampleDB_Get() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	if _, err := db.Set(ctx, kv.Key{"note"}, client.Bytes([]byte("hello"))); err != nil {
		log.Fatal(err)
	}
	note, err := db.Get(ctx, kv.Key{"note"})
	fmt.Printf("%v %v %s %v\n", note.Key, note.Value.Encoding, note.Value.Data, err)
	// Output: ["note"] bytes hello <nil>
}

// All are from one moment.
func ExampleDB_GetMany() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	if _, err := db.Set(ctx, kv.Key{"a"}, 1); err != nil {
		log.Fatal(err)
	}
	entries, err := db.GetMany(ctx, kv.Key{"a"}, kv.Key{"b"})
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range entries {
		fmt.Println(e.Key, e.Exists())
	}
	// Output:
	// ["a"] true
	// ["b"] false
}

func ExampleDB_Delete() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	fmt.Println(db.Delete(ctx, kv.Key{"not there"}))
	// Output: <nil>
}

func ExampleEntry_Exists() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	if _, err := db.Set(ctx, kv.Key{"zero"}, 0); err != nil {
		log.Fatal(err)
	}
	for _, key := range []kv.Key{{"zero"}, {"none"}} {
		e, err := client.Get[int](ctx, db, key)
		fmt.Println(e.Value, e.Exists(), err)
	}
	// Output:
	// 0 true <nil>
	// 0 false <nil>
}

// Calls after Close fail, and those in flight end.
func ExampleDB_Close() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	fmt.Println(db.Close())
	_, err := db.Get(ctx, kv.Key{"a"})
	fmt.Println(errors.Is(err, client.ErrClosed))
	// Output:
	// <nil>
	// true
}

func ExampleDB_TellsExpiry() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()

	fmt.Println(db.TellsExpiry())
	// Output: true
}

// A web page shows two entries at a time; the next one goes on where it ended.
func ExampleSelector_CursorAfter() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	for i := range 3 {
		if _, err := db.Set(ctx, kv.Key{"users", i}, i); err != nil {
			log.Fatal(err)
		}
	}
	page := client.Selector{Prefix: kv.Key{"users"}, Limit: 2}
	for range 2 {
		var last kv.Key
		for e, err := range db.List(ctx, page) {
			if err != nil {
				log.Fatal(err)
			}
			last = e.Key
			fmt.Println(e.Key)
		}
		fmt.Println("next page")
		var err error
		if page.Cursor, err = page.CursorAfter(last); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// ["users", 0]
	// ["users", 1]
	// next page
	// ["users", 2]
	// next page
}

func ExampleBytes() {
	value := client.Bytes([]byte{1, 2})
	fmt.Println(value.Encoding, value.Data)
	// Output: bytes [1 2]
}

func ExampleU64() {
	value := client.U64(258)
	fmt.Println(value.Data)
	// Output: [2 1 0 0 0 0 0 0]
}

// In a database with another codec, one value for programs in JavaScript.
func ExampleV8() {
	value, err := client.V8(map[string]any{"name": "Alice"})
	if err != nil {
		log.Fatal(err)
	}
	var back any
	err = client.V8Codec{}.Decode(value, &back)
	fmt.Println(value.Encoding, back, err)
	// Output: V8 map[name:Alice] <nil>
}

// fixed is a database that always has one entry. What it lacks is not called here.
type fixed struct {
	client.Backend
	entry kv.Entry
}

func (f fixed) Read(_ context.Context, ranges []kv.Range) ([][]kv.Entry, error) {
	entries := make([][]kv.Entry, len(ranges))
	for i, r := range ranges {
		if r.Start <= f.entry.Key && f.entry.Key < r.End {
			entries[i] = []kv.Entry{f.entry}
		}
	}
	return entries, nil
}

func (fixed) Close() {}

// A test gives the program under test a database of its own making.
func ExampleOpenBackend() {
	ctx := context.Background()
	key, err := kv.Key{"answer"}.Encode()
	if err != nil {
		log.Fatal(err)
	}
	db := client.OpenBackend(fixed{entry: kv.Entry{Key: key, Value: client.U64(42), Versionstamp: kv.Versionstamp{1}}})
	defer db.Close()

	answer, err := client.Get[int](ctx, db, kv.Key{"answer"})
	fmt.Println(answer.Value, err)
	// Output: 42 <nil>
}
