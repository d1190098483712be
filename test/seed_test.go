package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What a program of a Deno user does must work with stock Deno, unchanged. Each program has a database of its own and
// fails by itself when something is not as Deno's own database would have it.
func TestDenoPrograms(t *testing.T) {
	s := startServer(t)
	for _, name := range []string{"objects", "keys", "expiry", "list", "mutations", "atomics", "watch", "unstorage"} {
		t.Run(name, func(t *testing.T) {
			if got := runDeno(t, name+".ts", s.url(name)); got != "ok" {
				t.Errorf("printed %q, want ok", got)
			}
		})
	}
	for _, name := range []string{"databases", "refusals"} {
		t.Run(name, func(t *testing.T) {
			if got := runDeno(t, name+".ts", s.url("")); got != "ok" {
				t.Errorf("printed %q, want ok", got)
			}
		})
	}
}

// The program of the README prints what it stored.
func TestReadmeProgram(t *testing.T) {
	s := startServer(t)
	got := run(t, denoCommand, "../examples/hello.ts", s.url(""))
	if want := `{ name: "Alice", credits: 100 }`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Transfers between few accounts, by several processes with several callers each, conserve the total: no update is lost
// and none is half done, however often commits lose against each other.
func TestTransfersConserveCredits(t *testing.T) {
	const accounts, processes, transfers = 4, 3, 150
	s := startServer(t)
	w := dial(t, s.url("bank"))
	for i := range accounts {
		w.commit(set(key("account", i), js(100.0)))
	}

	var wg sync.WaitGroup
	var mu sync.Mutex
	lost := 0
	for range processes {
		wg.Go(func() {
			out := runDeno(t, "transfer.ts", s.url("bank"), strconv.Itoa(accounts), strconv.Itoa(transfers))
			n, err := strconv.Atoi(out)
			if err != nil {
				t.Errorf("transfer.ts printed %q, want a number", out)
			}
			mu.Lock()
			defer mu.Unlock()
			lost += n
		})
	}
	wg.Wait()

	total := 0.0
	for _, e := range w.list(key("account")) {
		total += decode(t, e).(float64)
	}
	if want := 100.0 * accounts; total != want {
		t.Errorf("the accounts hold %v in the end, want %v", total, want)
	}
	if lost == 0 {
		t.Error("no commit lost against another: the test did not contend")
	}
}

// A counter behind a real Deno.serve, hit concurrently, loses no request, whether it counts with a sum or by reading,
// checking and setting.
func TestRequestCounter(t *testing.T) {
	const clients, hits = 20, 10
	s := startServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), programWait)
	defer cancel()
	site := "http://127.0.0.1:" + startProgram(t, denoCommand(ctx, t, "clients/deno/counter.ts", s.url(""))).line(ctx)

	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range hits {
				if _, err := fetch(site + "/hit"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()

	type counts struct{ Summed, Checked int }
	var got counts
	body, err := fetch(site + "/count")
	if err == nil {
		err = json.Unmarshal(body, &got)
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(counts{clients * hits, clients * hits}, got); diff != "" {
		t.Errorf("the counts (-want +got):\n%s", diff)
	}
}

func fetch(url string) ([]byte, error) {
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d: %s", url, resp.StatusCode, body)
	}
	return body, err
}
