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

// If no attempt succeeds, the payload is kept at a key.
func ExampleDB_Enqueue() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()

	_, err := db.Enqueue(ctx, "water the plants", client.EnqueueOptions{
		Delay:             time.Hour,
		Backoff:           []time.Duration{time.Minute, time.Hour},
		KeysIfUndelivered: []kv.Key{{"forgotten", "plants"}},
	})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleDB_QueueStats() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()

	if _, err := db.Enqueue(ctx, "tomorrow's news", client.EnqueueOptions{Delay: 24 * time.Hour}); err != nil {
		log.Fatal(err)
	}
	stats, err := db.QueueStats(ctx)
	for err == nil && stats.Scheduled == 0 { // the queue has it a moment after the commit
		stats, err = db.QueueStats(ctx)
	}
	fmt.Println(stats.Scheduled, stats.Waiting, stats.Dead, err)
	// Output: 1 0 0 <nil>
}

func ExampleDB_PeekQueue() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()

	if _, err := db.Enqueue(ctx, "tomorrow's news", client.EnqueueOptions{Delay: 24 * time.Hour}); err != nil {
		log.Fatal(err)
	}
	messages, err := db.PeekQueue(ctx, kv.MessageScheduled, 10)
	for err == nil && len(messages) == 0 { // the queue has it a moment after the commit
		messages, err = db.PeekQueue(ctx, kv.MessageScheduled, 10)
	}
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range messages {
		var payload string
		err := client.V8Codec{}.Decode(kv.Value{Encoding: kv.EncodingV8, Data: m.Payload}, &payload)
		fmt.Println(payload, err)
	}
	// Output: tomorrow's news <nil>
}

// A message failed until the program was mended; now it is tried again.
func ExampleDB_RetryDead() {
	ctx := context.Background()
	db, stop := inProcess(ctx)
	defer stop()
	listen := func(failure error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		err := client.Listen(ctx, db, func(_ context.Context, order string, _ kv.Message) error {
			fmt.Println(order, failure)
			cancel()
			return failure
		}, client.ListenOptions{})
		if !errors.Is(err, context.Canceled) {
			log.Fatal(err)
		}
	}

	if _, err := db.Enqueue(ctx, "two pears", client.EnqueueOptions{Backoff: []time.Duration{}}); err != nil {
		log.Fatal(err)
	}
	listen(errors.New("no pears"))
	fmt.Println(db.RetryDead(ctx))
	listen(nil)
	// Output:
	// two pears no pears
	// 1 <nil>
	// two pears <nil>
}
