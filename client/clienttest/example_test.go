package clienttest_test

import (
	"fmt"
	"os"
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

func ExampleNew() {
	test := func(t *testing.T) { // TestSomething
		db := clienttest.New(t)
		if _, err := db.Set(t.Context(), kv.Key{"visits"}, client.U64(1)); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Println(passes(test))
	// Output: true
}

func ExampleDatabases() {
	test := func(t *testing.T) { // TestSomething
		database := clienttest.Databases(t)
		for _, name := range []string{"orders", "users"} {
			if _, err := database(name).Set(t.Context(), kv.Key{"version"}, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	fmt.Println(passes(test))
	// Output: true
}

// passes runs a test as go test does, without a word.
func passes(test func(t *testing.T)) bool {
	stdout := os.Stdout
	defer func() { os.Stdout = stdout }()
	os.Stdout, _ = os.Open(os.DevNull)
	return testing.RunTests(func(_, _ string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "Test", F: test}})
}
