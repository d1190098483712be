package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/fakeserver"
	"github.com/millpondkv/millpond/kv"
)

// A User is { name: "Alice", joined: new Date(0) } to Deno.
type User struct {
	Name   string    `json:"name"`
	Joined time.Time `json:"joined"`
}

func ExampleGet() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	if _, err := db.Set(ctx, kv.Key{"users", "alice"}, User{"Alice", time.UnixMilli(0)}); err != nil {
		log.Fatal(err)
	}
	alice, err := client.Get[User](ctx, db, kv.Key{"users", "alice"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(alice.Value.Name, alice.Value.Joined)
	eve, err := client.Get[User](ctx, db, kv.Key{"users", "eve"})
	fmt.Println(eve.Exists(), err)
	// Output:
	// Alice 1970-01-01 00:00:00 +0000 UTC
	// false <nil>
}

func ExampleGetMany() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	if _, err := db.Atomic().Set(kv.Key{"x"}, 1).Set(kv.Key{"y"}, 2).Commit(ctx); err != nil {
		log.Fatal(err)
	}
	entries, err := client.GetMany[int](ctx, db, kv.Key{"x"}, kv.Key{"y"}, kv.Key{"z"})
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range entries {
		fmt.Println(e.Key, e.Value, e.Exists())
	}
	// Output:
	// ["x"] 1 true
	// ["y"] 2 true
	// ["z"] 0 false
}

func ExampleList() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	for _, name := range []string{"Bob", "Alice"} {
		if _, err := db.Set(ctx, kv.Key{"users", name}, User{Name: name}); err != nil {
			log.Fatal(err)
		}
	}
	for e, err := range client.List[User](ctx, db, client.Selector{Prefix: kv.Key{"users"}, Limit: 10}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Key, e.Value.Name)
	}
	// Output:
	// ["users", "Alice"] Alice
	// ["users", "Bob"] Bob
}

func ExampleWatch() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	for entries, err := range client.Watch[int](ctx, db, kv.Key{"level"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("level", entries[0].Value)
		if entries[0].Value == 3 {
			break
		}
		if _, err := db.Set(ctx, kv.Key{"level"}, 3); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// level 0
	// level 3
}

// What was read is checked when what was written is committed, and both are done again if it has changed.
func ExampleDB_Update() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	if _, err := db.Atomic().Set(kv.Key{"credits", "alice"}, 100).Commit(ctx); err != nil {
		log.Fatal(err)
	}
	errBroke := errors.New("not enough credits")
	pay := func(n int) error {
		return db.Update(ctx, func(tx *client.Tx) error {
			credits, err := client.GetMany[int](ctx, tx, kv.Key{"credits", "alice"}, kv.Key{"credits", "bob"})
			if err != nil {
				return err
			}
			from, to := credits[0], credits[1]
			if from.Value < n {
				return errBroke
			}
			tx.Set(from.Key, from.Value-n)
			tx.Set(to.Key, to.Value+n)
			return nil
		})
	}
	fmt.Println(pay(70))
	fmt.Println(pay(70))
	bob, err := client.Get[int](ctx, db, kv.Key{"credits", "bob"})
	fmt.Println(bob.Value, err)
	// Output:
	// <nil>
	// not enough credits
	// 70 <nil>
}

func ExampleDB_DeletePrefix() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	for i := range 3 {
		if _, err := db.Set(ctx, kv.Key{"cache", i}, i); err != nil {
			log.Fatal(err)
		}
	}
	cache := client.Selector{Prefix: kv.Key{"cache"}}
	fmt.Println(db.Count(ctx, cache))
	fmt.Println(db.DeletePrefix(ctx, cache.Prefix))
	fmt.Println(db.Count(ctx, cache))
	// Output:
	// 3 <nil>
	// 3 <nil>
	// 0 <nil>
}

func ExampleDB_Keys() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	if _, err := db.Atomic().Set(kv.Key{"a"}, 1).Set(kv.Key{"b", true}, 2).Commit(ctx); err != nil {
		log.Fatal(err)
	}
	for key, err := range db.Keys(ctx, client.Selector{}) {
		fmt.Println(key, err)
	}
	// Output:
	// ["a"] <nil>
	// ["b", true] <nil>
}

// KV Connect does not tell when entries expire; other transports do.
func ExampleEntry_Remaining() {
	now := time.Now()
	session := client.Entry[string]{ExpireAt: kv.MillisOf(now.Add(time.Minute))}
	d, ok := session.Remaining(now)
	fmt.Println(d, ok)
	// Output: 1m0s true
}

// With another codec a database holds what only programs with that codec read.
func ExampleWithCodec() {
	ctx := context.Background()
	server, err := fakeserver.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	db, err := client.Open(ctx, server.URL, client.WithAccessToken(fakeserver.Token), client.WithCodec(client.ProtobufCodec{}))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	if _, err := db.Set(ctx, kv.Key{"timeout"}, durationpb.New(time.Second)); err != nil {
		log.Fatal(err)
	}
	timeout, err := client.Get[*durationpb.Duration](ctx, db, kv.Key{"timeout"})
	fmt.Println(timeout.Value.AsDuration(), err)
	// Output: 1s <nil>
}
