package client_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"time"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/fakeserver"
	"github.com/millpondkv/millpond/kv"
)

// The scheme says how the database is reached: http and https by KV Connect, nats and tls by NATS.
func ExampleOpen() {
	ctx := context.Background()
	server, err := fakeserver.Start() // for this example
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	db, err := client.Open(ctx, server.URL, client.WithAccessToken(fakeserver.Token))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	_, err = db.Set(ctx, kv.Key{"hello"}, "world")
	fmt.Println(err)
	// Output: <nil>
}

// opened says what came of a Set in a database that was opened with opts.
func opened(opts ...client.Option) error {
	ctx := context.Background()
	server, err := fakeserver.Start()
	if err != nil {
		return err
	}
	defer server.Close()
	db, err := client.Open(ctx, server.URL, opts...)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Set(ctx, kv.Key{"hello"}, "world")
	return err
}

func ExampleWithAccessToken() {
	fmt.Println(opened(client.WithAccessToken(fakeserver.Token)))
	// Output: <nil>
}

// The token is asked for anew when the server has refused the last one.
func ExampleWithTokenSource() {
	source := func(context.Context) (string, error) { return fakeserver.Token, nil } // of a file, or of a service
	fmt.Println(opened(client.WithTokenSource(source)))
	// Output: <nil>
}

func ExampleWithHTTPClient() {
	own := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10}}
	defer own.CloseIdleConnections()
	fmt.Println(opened(client.WithAccessToken(fakeserver.Token), client.WithHTTPClient(own)))
	// Output: <nil>
}

func ExampleWithLogger() {
	fmt.Println(opened(client.WithAccessToken(fakeserver.Token), client.WithLogger(slog.Default())))
	// Output: <nil>
}

// What can be sent again safely is, for as long; what fails after that says whether it can be.
func ExampleWithRetryTime() {
	_, err := client.Open(context.Background(), "http://127.0.0.1:1", client.WithAccessToken("a token"), client.WithRetryTime(time.Millisecond))
	fmt.Println(kv.SafeToRetry(err))
	// Output: true
}
