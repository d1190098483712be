package embedded_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/client/embedded"
	"github.com/millpondkv/millpond/kv"
)

func Example() {
	dir, err := os.MkdirTemp("", "millpond-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()

	e, err := embedded.Open(ctx, dir)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	db, err := e.DB(ctx, "orders")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	if _, err := db.Set(ctx, kv.Key{"orders", 1}, client.Bytes([]byte("two pears"))); err != nil {
		log.Fatal(err)
	}
	order, err := db.Get(ctx, kv.Key{"orders", 1})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(order.Value.Data))
	// Output: two pears
}

func ExampleOpenMemory() {
	ctx := context.Background()
	e, err := embedded.OpenMemory(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	db, err := e.DB(ctx, embedded.DefaultDatabase)
	if err != nil {
		log.Fatal(err)
	}
	e2, err := db.Get(ctx, kv.Key{"nothing"})
	fmt.Println(e2.Exists(), err)
	// Output: false <nil>
}
