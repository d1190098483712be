// Command bench measures Millpond on this machine and writes the results to bench-results: Deno's client against
// `millpond serve` with its log synced to disk; the same program against a server that does nothing and against Deno's own
// database, for the ratios; the Go client over NATS against a cluster, and its queue; a restore into one; and the Go benchmarks of the packages below. Run it with
// `make bench`, on a machine that does nothing else; `make bench ONLY=cluster` measures the cluster alone.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"
)

const (
	seconds     = "5"   // of each measurement
	callers     = "128" // concurrent, where it says so
	accessToken = "a-token-for-the-benchmark"
	startWait   = 30 * time.Second
)

func main() {
	log.SetFlags(0)
	if part := map[string]func(context.Context, io.Writer, []string) error{"callers": call, "messages": exchange}[flagless()]; part != nil {
		if err := part(context.Background(), os.Stdout, os.Args[2:]); err != nil {
			log.Fatal(err)
		}
		return
	}
	only := flag.String("only", "", "measure only this: serve, cluster, queue, restore or packages")
	flag.Parse()
	out := new(bytes.Buffer)
	if err := run(context.Background(), io.MultiWriter(os.Stdout, out), *only); err != nil {
		log.Fatal(err)
	}
	path := filepath.Join("bench-results", time.Now().Format("2006-01-02T150405")+".txt")
	if err := os.MkdirAll("bench-results", 0o755); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
	fmt.Println("written to", path)
}

// flagless returns the first argument: this process is a part of the benchmark that another one has started, or none.
func flagless() string {
	if len(os.Args) < 2 {
		return ""
	}
	return os.Args[1]
}

func run(ctx context.Context, out io.Writer, only string) error {
	deno := os.Getenv("MILLPOND_DENO")
	if deno == "" {
		return fmt.Errorf("MILLPOND_DENO names no Deno: run make bench")
	}
	// Not in a temporary directory: that may be in memory, where a sync costs nothing.
	if err := os.MkdirAll("test/.cache", 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("test/.cache", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := describeMachine(out, deno, dir); err != nil {
		return err
	}
	for _, section := range []struct {
		name    string
		measure func() error
	}{
		{"serve", func() error { return measureServe(ctx, out, deno, dir) }},
		{"cluster", func() error { return measureCluster(ctx, out, dir) }},
		{"queue", func() error { return measureQueue(ctx, out, dir) }},
		{"restore", func() error { return measureRestore(ctx, out, dir) }},
		{"packages", func() error { return goBenchmarks(ctx, out) }},
	} {
		if only != "" && only != section.name {
			continue
		}
		if err := section.measure(); err != nil {
			return err
		}
	}
	return nil
}

// measureServe measures one process, with Deno's client.
func measureServe(ctx context.Context, out io.Writer, deno, dir string) error {
	own, err := measure(ctx, deno, filepath.Join(dir, "deno.sqlite"))
	if err != nil {
		return err
	}
	served, err := measureServer(ctx, deno, dir)
	if err != nil {
		return err
	}
	bound, err := measureNothing(ctx, deno)
	if err != nil {
		return err
	}
	printTable(out, served, bound, own)
	return nil
}

// result is what bench.ts prints.
type result struct {
	SetsPerSecond, GetsPerSecond int
	SetMillis, GetMillis         struct{ P50, P99 float64 }
}

// measure runs bench.ts in a process of its own against a URL or a path.
func measure(ctx context.Context, deno, target string) (r result, err error) {
	cmd := exec.CommandContext(ctx, deno, "run", "--quiet", "--unstable-kv", "--no-lock", "--no-prompt", "--allow-all",
		"test/clients/deno/bench.ts", target, seconds, callers)
	cmd.Env = append(os.Environ(), "DENO_KV_ACCESS_TOKEN="+accessToken, "DENO_NO_UPDATE_CHECK=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		return r, fmt.Errorf("run bench.ts against %s: %w", target, err)
	}
	return r, nil
}

// measureServer does the same against `millpond serve` with its data in dir.
func measureServer(ctx context.Context, deno, dir string) (r result, err error) {
	binary := filepath.Join(dir, "millpond")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/millpond").CombinedOutput(); err != nil {
		return r, fmt.Errorf("build millpond: %w\n%s", err, out)
	}
	addr, err := freeAddr()
	if err != nil {
		return r, err
	}
	var logged bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, "serve",
		"--data", filepath.Join(dir, "data"), "--addr", addr, "--access-token", accessToken)
	cmd.Stdout, cmd.Stderr = &logged, &logged
	if err := cmd.Start(); err != nil {
		return r, err
	}
	if err = waitReady("http://" + addr + "/readyz"); err == nil {
		r, err = measure(ctx, deno, "http://"+addr)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if stopped := cmd.Wait(); err == nil {
		err = stopped
	}
	if err != nil {
		return r, fmt.Errorf("%w; the server printed:\n%s", err, logged.String())
	}
	return r, nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func waitReady(url string) error {
	for deadline := time.Now().Add(startWait); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get(url); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return fmt.Errorf("the server was not ready after %v", startWait)
}

func printTable(out io.Writer, served, bound, own result) {
	fmt.Fprintf(out, "\nOne Deno process, values of 100 bytes, 10,000 keys\n\n")
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tmillpond serve, synced\twanted\ta server that does nothing\tratio\tDeno's own database\tratio\t\n")
	count := func(name string, served, wanted, bound, own int) {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.2f\t%d\t%.2f\t\n", name, served, wanted, bound, float64(served)/float64(bound), own, float64(served)/float64(own))
	}
	count("sets/s, "+callers+" callers", served.SetsPerSecond, 12_000, bound.SetsPerSecond, own.SetsPerSecond)
	count("gets/s, "+callers+" callers", served.GetsPerSecond, 16_000, bound.GetsPerSecond, own.GetsPerSecond)
	millis := func(name, wanted string, served, bound, own float64) {
		fmt.Fprintf(t, "%s\t%.3f ms\t%s\t%.3f ms\t%.2f\t%.3f ms\t%.2f\t\n", name, served, wanted, bound, served/bound, own, served/own)
	}
	millis("get p50, 1 caller", "under 0.35 ms", served.GetMillis.P50, bound.GetMillis.P50, own.GetMillis.P50)
	millis("get p99, 1 caller", "", served.GetMillis.P99, bound.GetMillis.P99, own.GetMillis.P99)
	millis("set p50, 1 caller", "", served.SetMillis.P50, bound.SetMillis.P50, own.SetMillis.P50)
	millis("set p99, 1 caller", "", served.SetMillis.P99, bound.SetMillis.P99, own.SetMillis.P99)
	t.Flush()
}

// goBenchmarks runs the benchmarks inside the process: what HTTP and Deno cost is not in them.
func goBenchmarks(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(out, "\nIn process (go test -bench)\n\n")
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", ".", "-benchmem", "-timeout", "30m",
		"./kv/v8", "./projection", "./writer", "./engine", "./queue", "./backup", "./client/embedded")
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	return cmd.Run()
}
