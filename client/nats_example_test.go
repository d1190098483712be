package client_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nats-io/nats.go"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

// Several servers of a NATS cluster, in case one is down, with a credentials file and the certificate of whoever has signed theirs.
func ExampleWithNATS() {
	ctx := context.Background()
	db, err := client.Open(ctx, "tls://nats1.example.com,nats2.example.com/orders",
		client.WithNATS(nats.UserCredentials("/run/secrets/client.creds"), nats.RootCAs("/run/secrets/ca.pem")))
	if err != nil {
		log.Print(err)
		return
	}
	defer db.Close()
}

// Eventual reads need no leader, and never go back behind what the same program has seen.
func ExampleDB_WithConsistency() {
	ctx := context.Background()
	db, stop := example(ctx)
	defer stop()

	if _, err := db.Set(ctx, kv.Key{"visits"}, client.U64(7)); err != nil {
		log.Fatal(err)
	}
	visits, err := db.WithConsistency(client.Eventual).Get(ctx, kv.Key{"visits"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(visits.Key, visits.Exists())
	// Output: ["visits"] true
}
