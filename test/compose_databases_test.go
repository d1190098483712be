package test

import (
	"testing"
	"time"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/databases"
)

// The administrator deletes a database; readers and writers see that it is gone, and cannot do it themselves; what is kept of it a writer
// removes when its time has come.
func TestNATSUsersOfDatabases(t *testing.T) {
	n := startNATSUsers(t)
	ctx := t.Context()
	log, err := natslog.Create(ctx, n.jetStream("reader"), "orders", natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	open := func(user string, ahead time.Duration) *databases.Databases {
		t.Helper()
		d, err := databases.Open(ctx, n.connect(user), databases.Config{Replicas: 1, Now: func() time.Time { return time.Now().Add(ahead) }})
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		return d
	}
	admin := open("admin", 0) // makes the buckets
	for _, user := range []string{"reader", "writer"} {
		if _, err := open(user, 0).Delete(ctx, "orders", time.Hour); err == nil {
			t.Errorf("the %s has deleted a database", user)
		}
	}
	if _, err := admin.Delete(ctx, "orders", time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"reader", "writer"} {
		if gone, err := databases.Gone(ctx, n.jetStream(user), "orders", log.ID()); err != nil || !gone {
			t.Errorf("the %s sees %v, %v; want it to be gone", user, gone, err)
		}
		if err := databases.CheckUnused(ctx, n.jetStream(user), "orders"); err == nil {
			t.Errorf("the %s would make it anew", user)
		}
	}
	if err := open("writer", 2*time.Hour).Prune(ctx); err != nil {
		t.Error(err)
	}
	if list, err := admin.Deleted(ctx, ""); err != nil || len(list) > 0 {
		t.Errorf("%+v, %v are kept", list, err)
	}
}
