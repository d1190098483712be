package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/fakeserver"
	"github.com/millpondkv/millpond/kv"
)

// example opens a database for an example; a program calls client.Open with the URL of its server.
func example(ctx context.Context) (db *client.DB, stop func()) {
	server, err := fakeserver.Start()
	if err != nil {
		log.Fatal(err)
	}
	db, err = client.Open(ctx, server.URL, client.WithAccessToken(fakeserver.Token))
	if err != nil {
		log.Fatal(err)
	}
	return db, func() {
		db.Close()
		server.Close()
	}
}

// Values are JavaScript's, so Deno and Node read what Go has written.
func ExampleDB_Set() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	user := map[string]any{"name": "Alice", "joined": time.UnixMilli(0)}
	if _, err := db.Set(ctx, kv.Key{"users", "alice"}, user, client.ExpireIn(time.Hour)); err != nil {
		log.Fatal(err)
	}
	alice, err := client.Get[any](ctx, db, kv.Key{"users", "alice"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(alice.Key, alice.Exists(), alice.Value)
	// Output: ["users", "alice"] true map[joined:1970-01-01 00:00:00 +0000 UTC name:Alice]
}

// An entry that was read guards a commit: if it has changed meanwhile, nothing is written.
func ExampleDB_Atomic() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	lock, err := db.Get(ctx, kv.Key{"lock"})
	if err != nil {
		log.Fatal(err)
	}
	for _, owner := range []string{"first", "second"} {
		_, err := db.Atomic().
			Check(lock).
			Set(lock.Key, client.Bytes([]byte(owner))).
			Sum(kv.Key{"taken"}, 1).
			Commit(ctx)
		if errors.Is(err, client.ErrCheckFailed) {
			fmt.Println(owner, "came too late:", err)
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(owner, "has the lock")
	}
	// Output:
	// first has the lock
	// second came too late: nothing was written: the check of ["lock"] did not hold
}

func ExampleDB_List() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	for i := range 5 {
		if _, err := db.Set(ctx, kv.Key{"log", i}, client.U64(uint64(i))); err != nil {
			log.Fatal(err)
		}
	}
	for entry, err := range db.List(ctx, client.Selector{Prefix: kv.Key{"log"}, Reverse: true, Limit: 2}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Key)
	}
	// Output:
	// ["log", 4]
	// ["log", 3]
}

func ExampleDB_Watch() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	for entries, err := range db.Watch(ctx, kv.Key{"switch"}) {
		if err != nil {
			log.Fatal(err)
		}
		if entries[0].Exists() {
			fmt.Printf("switched %s\n", entries[0].Value.Data)
			break
		}
		fmt.Println("not there yet")
		if _, err := db.Set(ctx, kv.Key{"switch"}, client.Bytes([]byte("on"))); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// not there yet
	// switched on
}
