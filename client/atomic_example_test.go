package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

// An order moves from one place to another, is counted and announced: all of it, or nothing.
func ExampleAtomic() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	if _, err := db.Set(ctx, kv.Key{"open", 1}, "two pears"); err != nil {
		log.Fatal(err)
	}
	open, err := db.Get(ctx, kv.Key{"open", 1})
	if err != nil {
		log.Fatal(err)
	}
	_, err = db.Atomic().
		Check(open).
		Delete(open.Key).
		Set(kv.Key{"done", 1}, open.Value).
		Sum(kv.Key{"orders"}, 1).
		Min(kv.Key{"cheapest"}, 250).
		Max(kv.Key{"dearest"}, 250).
		Enqueue("order 1 is done", client.EnqueueOptions{}).
		Commit(ctx)
	dearest, getErr := client.Get[int](ctx, db, kv.Key{"dearest"})
	fmt.Println(err, dearest.Value, getErr)
	// Output: <nil> 250 <nil>
}

// The key ends with the versionstamp of the commit, so what is written later is listed later.
func ExampleAtomic_SetVersionstamped() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()

	for _, line := range []string{"opened", "closed"} {
		if _, err := db.Atomic().SetVersionstamped(kv.Key{"log"}, line).Commit(ctx); err != nil {
			log.Fatal(err)
		}
	}
	for line, err := range client.List[string](ctx, db, client.Selector{Prefix: kv.Key{"log"}}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(line.Value)
	}
	// Output:
	// opened
	// closed
}

// Numbers of JavaScript are added within bounds.
func ExampleAtomic_SumValue() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()

	for range 3 {
		if _, err := db.Atomic().SumValue(kv.Key{"volume"}, 4, client.SumBounds{Max: 10, Clamp: true}).Commit(ctx); err != nil {
			log.Fatal(err)
		}
	}
	volume, err := client.Get[float64](ctx, db, kv.Key{"volume"})
	fmt.Println(volume.Value, err)
	// Output: 10 <nil>
}

func ExampleAbsent() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	for _, owner := range []string{"alice", "bob"} {
		_, err := db.Atomic().Check(client.Absent(kv.Key{"names", "pond"})).Set(kv.Key{"names", "pond"}, owner).Commit(ctx)
		fmt.Println(owner, err)
	}
	// Output:
	// alice <nil>
	// bob nothing was written: the check of ["names", "pond"] did not hold
}

// What another program has read is checked by its versionstamp.
func ExampleAt() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	seen, err := db.Set(ctx, kv.Key{"page"}, "draft")
	if err != nil {
		log.Fatal(err)
	}
	_, err = db.Atomic().Check(client.At(kv.Key{"page"}, seen)).Set(kv.Key{"page"}, "final").Commit(ctx)
	fmt.Println(err)
	// Output: <nil>
}

func ExampleCheckError() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()

	put(ctx, db, kv.Key{"b"}, 1)
	_, err := db.Atomic().Check(client.Absent(kv.Key{"a"}), client.Absent(kv.Key{"b"})).Set(kv.Key{"c"}, 1).Commit(ctx)
	var failed *client.CheckError
	if errors.As(err, &failed) {
		fmt.Println(failed.Failed, failed.Keys, errors.Is(err, client.ErrCheckFailed))
	}
	// Output: [1] [["b"]] true
}

func ExampleExpireIn() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()

	if _, err := db.Set(ctx, kv.Key{"session"}, "s1", client.ExpireIn(time.Hour)); err != nil {
		log.Fatal(err)
	}
	session, err := db.Get(ctx, kv.Key{"session"})
	if err != nil {
		log.Fatal(err)
	}
	left, ok := session.Remaining(time.Now())
	fmt.Println(left > 50*time.Minute, ok)
	// Output: true true
}

func ExampleExpireAt() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()

	newYear := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := db.Set(ctx, kv.Key{"offer"}, "two for one", client.ExpireAt(newYear)); err != nil {
		log.Fatal(err)
	}
	offer, err := db.Get(ctx, kv.Key{"offer"})
	fmt.Println(offer.ExpireAt == kv.MillisOf(newYear), err)
	// Output: true <nil>
}

// A Tx has all that an Atomic has.
func ExampleTx_Enqueue() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()

	put(ctx, db, kv.Key{"cart", "alice"}, "two pears")
	err := db.Update(ctx, func(tx *client.Tx) error {
		cart, err := tx.Get(ctx, kv.Key{"cart", "alice"})
		if err != nil {
			return err
		}
		if _, err := tx.GetMany(ctx, kv.Key{"prices", "pear"}, kv.Key{"stock", "pear"}); err != nil {
			return err
		}
		tx.Delete(cart.Key)
		tx.SetVersionstamped(kv.Key{"orders", "alice"}, cart.Value)
		tx.SumValue(kv.Key{"turnover"}, 2.5, client.SumBounds{})
		tx.Min(kv.Key{"smallest"}, 250)
		tx.Max(kv.Key{"largest"}, 250)
		tx.Enqueue("alice has ordered", client.EnqueueOptions{})
		return nil
	})
	fmt.Println(err)
	fmt.Println(db.Count(ctx, client.Selector{Prefix: kv.Key{"orders", "alice"}}))
	// Output:
	// <nil>
	// 1 <nil>
}
