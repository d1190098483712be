package cluster

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/internal/serve"
)

// The guide for operators names the metrics that each program prints, and no others.
func TestMetricsAreDocumented(t *testing.T) {
	c := at(natsServer(t, nil))
	r, w := reader(t, c, nil), writer(t, c, nil)
	expectWorks(t, r, w)
	for name, addr := range map[string]string{"kvreader": r.addr, "kvwriter": w.addr, "serve": serveAlone(t)} {
		documented, printed := documentedMetrics(t)[name], printedMetrics(t, addr)
		if diff := cmp.Diff(documented, printed); diff != "" {
			t.Errorf("%s: docs/operations.md (-), /metrics (+):\n%s", name, diff)
		}
	}
}

// serveAlone runs `millpond serve`, writes to it, and returns its address.
func serveAlone(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	addr, ended := freeAddr(t), make(chan error, 1)
	go func() {
		ended <- serve.Run(ctx, serve.Config{Memory: true, History: time.Hour, Addr: addr, AccessToken: token, CreateDatabases: true, DrainTimeout: time.Second},
			io.Discard, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(patience); health(ctx, addr, io.Discard) != nil; {
		select {
		case err := <-ended:
			ended <- err
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("millpond serve is not ready")
		}
	}
	if err := writeAndRead(ctx, "http://"+addr); err != nil {
		t.Fatal(err)
	}
	return addr
}

// printedMetrics returns the names on the metrics page, sorted, without those of Go and the process.
func printedMetrics(t *testing.T, addr string) []string {
	t.Helper()
	response, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^# TYPE (millpond_\w+)`).FindAllSubmatch(page, -1) {
		names[string(match[1])] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// documentedMetrics reads the table of docs/operations.md: the names by program, sorted.
func documentedMetrics(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`millpond_[^|]*) \\| ([^|]*) \\|").FindAllStringSubmatch(string(page), -1) {
		for program := range strings.SplitSeq(row[2], ", ") {
			all[program] = append(all[program], regexp.MustCompile(`millpond_\w+`).FindAllString(row[1], -1)...)
		}
	}
	for _, names := range all {
		slices.Sort(names)
	}
	return all
}
