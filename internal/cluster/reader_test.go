package cluster

import (
	"context"
	"strings"
	"testing"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A database that cannot be opened keeps neither reader nor writer from serving the others, also over NATS. Both are ready, and
// say what is missing.
func TestOneDatabaseCannotBeOpened(t *testing.T) {
	s := natsServer(t, nil)
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "millpond_strange", Subjects: []string{"strange"}}); err != nil {
		t.Fatal(err)
	}
	r, w := reader(t, at(s), nil), writer(t, at(s), nil)
	expectWorks(t, r, w)
	for _, p := range []*program{r, w} {
		p.await("its health check names the database", func() bool {
			var text strings.Builder
			return health(ctx, p.addr, &text) == nil && strings.HasPrefix(text.String(), "ok\n") && strings.Contains(text.String(), `"strange" is not served: `)
		}, func() any { return "" })
	}
	db, err := client.Open(ctx, s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if e, err := db.Get(ctx, kv.Key{"k"}); err != nil || string(e.Value.Data) != "v" {
		t.Errorf("read over NATS: %v, %v", e, err)
	}
}
