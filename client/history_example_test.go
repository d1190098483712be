package client_test

import (
	"context"
	"fmt"
	"log"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

// put sets a key for an example.
func put(ctx context.Context, db *client.DB, key kv.Key, value any) kv.Versionstamp {
	v, err := db.Set(ctx, key, value)
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// What was there at a moment is read as what is there now.
func ExampleDB_At() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()
	v := put(ctx, db, kv.Key{"users", "alice"}, "Alice")
	put(ctx, db, kv.Key{"users", "alice"}, "Alicia")

	then := db.At(kv.Moment{Versionstamp: v}) // or Time: kv.MillisOf(time.Now().Add(-time.Hour))
	alice, err := client.Get[string](ctx, then, kv.Key{"users", "alice"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(alice.Value)
	// Output: Alice
}

func ExamplePast_GetMany() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()
	v := put(ctx, db, kv.Key{"a"}, 1)
	put(ctx, db, kv.Key{"b"}, 2)

	entries, err := db.At(kv.Moment{Versionstamp: v}).GetMany(ctx, kv.Key{"a"}, kv.Key{"b"})
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

func ExamplePast_Get() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()
	v := put(ctx, db, kv.Key{"a"}, 1)
	if err := db.Delete(ctx, kv.Key{"a"}); err != nil {
		log.Fatal(err)
	}
	entry, err := db.At(kv.Moment{Versionstamp: v}).Get(ctx, kv.Key{"a"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(entry.Exists(), entry.Versionstamp == v)
	// Output: true true
}

func ExamplePast_List() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()
	put(ctx, db, kv.Key{"log", 1}, "one")
	v := put(ctx, db, kv.Key{"log", 2}, "two")
	if _, err := db.DeletePrefix(ctx, kv.Key{"log"}); err != nil {
		log.Fatal(err)
	}
	for entry, err := range client.List[string](ctx, db.At(kv.Moment{Versionstamp: v}), client.Selector{Prefix: kv.Key{"log"}}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Key, entry.Value)
	}
	// Output:
	// ["log", 1] one
	// ["log", 2] two
}

// The moment that a state is from can be noted, and means the same later.
func ExamplePast_Moment() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()
	put(ctx, db, kv.Key{"a"}, "before")
	note, err := db.At(kv.Moment{}).Moment(ctx) // now
	if err != nil {
		log.Fatal(err)
	}
	put(ctx, db, kv.Key{"a"}, "after")
	entry, err := client.Get[string](ctx, db.At(note), kv.Key{"a"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(entry.Value)
	// Output: before
}

func ExampleDB_History() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()
	put(ctx, db, kv.Key{"a"}, client.Bytes([]byte("one")))
	put(ctx, db, kv.Key{"a"}, client.Bytes([]byte("two")))
	if err := db.Delete(ctx, kv.Key{"a"}); err != nil {
		log.Fatal(err)
	}
	for version, err := range db.History(ctx, kv.Key{"a"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%v %s\n", version.State, version.Value.Data)
	}
	// Output:
	// set one
	// set two
	// deleted
}

func ExampleDB_Diff() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()
	put(ctx, db, kv.Key{"users", "alice"}, "Alice")
	v := put(ctx, db, kv.Key{"users", "bob"}, "Bob")
	put(ctx, db, kv.Key{"users", "carol"}, "Carol")
	if err := db.Delete(ctx, kv.Key{"users", "bob"}); err != nil {
		log.Fatal(err)
	}
	for d, err := range db.Diff(ctx, kv.Key{"users"}, kv.Moment{Versionstamp: v}, kv.Moment{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(d.Key, d.Before.Exists(), d.After.Exists())
	}
	// Output:
	// ["users", "bob"] true false
	// ["users", "carol"] false true
}

// What is going to be undone is looked at first; what others write meanwhile is left alone.
func ExampleDB_Undo() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()
	put(ctx, db, kv.Key{"users", "alice"}, "Alice")
	v := put(ctx, db, kv.Key{"users", "bob"}, "Bob")
	if _, err := db.DeletePrefix(ctx, kv.Key{"users"}); err != nil { // the wrong prefix
		log.Fatal(err)
	}

	undo := client.UndoOptions{Prefix: kv.Key{"users"}, To: kv.Moment{Versionstamp: v}, DryRun: true}
	seen, err := db.Undo(ctx, undo)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("would set", seen.Set)

	put(ctx, db, kv.Key{"users", "alice"}, "somebody else has mended it")
	undo.Seen, undo.DryRun = seen.Seen, false
	done, err := db.Undo(ctx, undo)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("set", done.Set, "conflicts", done.Conflicts)
	// Output:
	// would set 2
	// set 1 conflicts 1
}
