package test

import (
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
)

type order struct {
	ID       *big.Int `json:"id"`
	Customer struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	} `json:"customer"`
	Total   float64               `json:"total"`
	Placed  time.Time             `json:"placed"`
	Note    *string               `json:"note"`
	Gift    bool                  `json:"gift,omitempty"`
	Items   []item                `json:"items"`
	Prices  map[string]float64    `json:"prices"`
	Stock   v8.MapOf[int, string] `json:"stock"`
	Seals   v8.SetOf[string]      `json:"seals"`
	Picture []byte                `json:"picture"`
}

type item struct {
	SKU   string `json:"sku"`
	Count int    `json:"count"`
}

// A struct that a Go program stores is the object that programs on Deno and Node read, and the other way round.
func TestGoStructsAreObjects(t *testing.T) {
	s := startServer(t)
	db, err := client.Open(t.Context(), s.url(""), client.WithAccessToken(accessToken))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	id, _ := new(big.Int).SetString("12345678901234567890", 10)
	sent := order{
		ID: id, Total: 99.5, Placed: time.Date(2024, 1, 31, 12, 0, 0, 5e8, time.UTC), Items: []item{{"x", 2}, {"y", 1}},
		Prices: map[string]float64{"x": 40, "y": 19.5}, Stock: v8.MapOf[int, string]{1: "one", 2: "two"}, Seals: v8.SetOf[string]{"wax": {}},
		Picture: []byte{0, 255},
	}
	sent.Customer.Name, sent.Customer.Tags = "Zoë", []string{"日本", "a😀"}
	for name, run := range map[string]func() string{
		"deno": func() string { return runDeno(t, "orders.ts", s.url(""), "deno") },
		"node": func() string { return runNode(t, "orders.mjs", s.url(""), "node") },
	} {
		if _, err := db.Set(t.Context(), kv.Key{name, "from go"}, sent); err != nil {
			t.Fatal(err)
		}
		if got := run(); got != "ok" {
			t.Errorf("%s printed %q, want ok", name, got)
		}
		answer, err := client.Get[order](t.Context(), db, kv.Key{name, "from javascript"})
		if err != nil {
			t.Fatal(err)
		}
		want, note := sent, "thanks"
		want.ID, want.Total, want.Note, want.Items = big.NewInt(7), 5, &note, []item{{"x", 2}, {"y", 1}, {"x", 2}}
		same := cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })
		if diff := cmp.Diff(want, answer.Value, same); diff != "" {
			t.Errorf("from %s (-want +got):\n%s", name, diff)
		}
	}
}
