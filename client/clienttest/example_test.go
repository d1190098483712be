package clienttest_test

import (
	"testing"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/client/clienttest"
	"github.com/millpondkv/millpond/kv"
)

func TestSomething(t *testing.T) { // of a program that uses Millpond
	db := clienttest.New(t)
	if _, err := db.Set(t.Context(), kv.Key{"visits"}, client.U64(1)); err != nil {
		t.Fatal(err)
	}
}

func Example() {
	// In a test:
	//
	//	func TestSomething(t *testing.T) {
	//		db := clienttest.New(t)
	//		_, err := db.Set(t.Context(), kv.Key{"visits"}, client.U64(1))
	//		…
	//	}
}
