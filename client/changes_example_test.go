package client_test

import (
	"context"
	"fmt"
	"log"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/client/embedded"
	"github.com/millpondkv/millpond/kv"
)

// inProcess opens a database in memory for an example; a program may as well open a nats:// URL.
func inProcess(ctx context.Context) (db *client.DB, stop func()) {
	e, err := embedded.OpenMemory(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if db, err = e.DB(ctx, embedded.DefaultDatabase); err != nil {
		log.Fatal(err)
	}
	return db, func() {
		db.Close()
		e.Close()
	}
}

// A program that keeps a copy elsewhere notes how far it has come, and goes on from there.
func ExampleDB_Changes() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()
	if _, err := db.Atomic().Set(kv.Key{"users", "alice"}, "Alice").Set(kv.Key{"count"}, 1).Commit(ctx); err != nil {
		log.Fatal(err)
	}
	if err := db.Delete(ctx, kv.Key{"users", "alice"}); err != nil {
		log.Fatal(err)
	}

	var note kv.Versionstamp // zero at first: from the beginning
	for range 2 {
		for commit, err := range db.Changes(ctx, client.ChangesOptions{After: note, Prefix: kv.Key{"users"}}) {
			if err != nil {
				log.Fatal(err)
			}
			for _, e := range commit.Entries {
				fmt.Println(e.Key, e.Exists())
			}
			note = commit.Versionstamp
			break
		}
	}
	// Output:
	// ["users", "alice"] true
	// ["users", "alice"] false
}

func ExampleChanges() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()
	if _, err := db.Set(ctx, kv.Key{"visits"}, 7); err != nil {
		log.Fatal(err)
	}
	for commit, err := range client.Changes[int](ctx, db, client.ChangesOptions{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(commit.Entries[0].Key, commit.Entries[0].Value)
		break
	}
	// Output: ["visits"] 7
}

// Only what comes from now on is shown.
func ExampleDB_Latest() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()
	if _, err := db.Set(ctx, kv.Key{"before"}, 1); err != nil {
		log.Fatal(err)
	}
	latest, err := db.Latest(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.Set(ctx, kv.Key{"after"}, 2); err != nil {
		log.Fatal(err)
	}
	for commit, err := range db.Changes(ctx, client.ChangesOptions{After: latest}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(commit.Entries[0].Key)
		break
	}
	// Output: ["after"]
}

// A cache of what is below a prefix.
func ExampleDB_WatchPrefix() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()
	if _, err := db.Set(ctx, kv.Key{"users", "alice"}, client.Bytes([]byte("Alice"))); err != nil {
		log.Fatal(err)
	}
	cache := map[string]string{}
	for entries, err := range db.WatchPrefix(ctx, kv.Key{"users"}) {
		if err != nil {
			log.Fatal(err)
		}
		for _, e := range entries {
			if e.Exists() {
				cache[e.Key.String()] = string(e.Value.Data)
			} else {
				delete(cache, e.Key.String())
			}
		}
		fmt.Println(cache)
		if len(cache) == 0 {
			break
		}
		if err := db.Delete(ctx, kv.Key{"users", "alice"}); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// map[["users", "alice"]:Alice]
	// map[]
}

func ExampleWatchPrefix() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()
	if _, err := db.Set(ctx, kv.Key{"limits", "rate"}, 10); err != nil {
		log.Fatal(err)
	}
	for limits, err := range client.WatchPrefix[int](ctx, db, kv.Key{"limits"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(limits[0].Key, limits[0].Value)
		break
	}
	// Output: ["limits", "rate"] 10
}

// Another program has written, and said at which versionstamp: what is read is no older, also eventually.
func ExampleDB_AtLeast() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()
	told, err := db.Set(ctx, kv.Key{"order", 1}, "paid")
	if err != nil {
		log.Fatal(err)
	}
	order, err := client.Get[string](ctx, db.WithConsistency(client.Eventual).AtLeast(told), kv.Key{"order", 1})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(order.Value)
	// Output: paid
}
