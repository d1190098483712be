// Package clienttest gives a Go test a Millpond of its own, in one line:
//
//	db := clienttest.New(t)
package clienttest

import (
	"context"
	"testing"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/client/embedded"
)

// New returns an empty database in memory, which is closed when the test ends. Tests that run in parallel disturb each other in
// nothing.
func New(t testing.TB, opts ...embedded.Option) *client.DB {
	t.Helper()
	return Databases(t, opts...)(embedded.DefaultDatabase)
}

// Databases is New for a test that needs several databases: it returns a function that returns the one of a name.
func Databases(t testing.TB, opts ...embedded.Option) func(name string) *client.DB {
	t.Helper()
	e, err := embedded.OpenMemory(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close the database of the test: %v", err)
		}
	})
	return func(name string) *client.DB {
		t.Helper()
		db, err := e.DB(context.WithoutCancel(t.Context()), name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
}
