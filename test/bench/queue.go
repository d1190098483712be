package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
)

const (
	listeners      = 64
	enqueuers      = 256
	idlePause      = 20 * time.Millisecond // so long that the one before was handled
	handledWithin  = 5 * time.Minute       // after the last was enqueued
	messagePayload = "a message of some length, as they are: "
)

// exchanged is what the process prints that enqueues and handles.
type exchanged struct {
	Enqueued, Handled int // a second
	P50, P99          time.Duration
}

// measureQueue measures a queue of a cluster with the client over NATS: each message has a commit of its own.
func measureQueue(ctx context.Context, out io.Writer, dir string) error {
	return withCluster(ctx, dir, func(ctx context.Context, c *benchedCluster) error {
		fmt.Fprintf(out, "\nThe queue of a cluster on this machine: three NATS servers that sync always, a writer and a reader; a Go program over NATS that\n"+
			"enqueues, one message in a commit, and has %d listeners\n\n", listeners)
		t := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
		fmt.Fprintf(t, "\tenqueued a second\thandled a second\twanted\tenqueued to handled, p50\twanted\tp99\t\n")
		for _, row := range []struct {
			name                 string
			enqueuers            int
			wanted, wantedMedian string
		}{
			{"%d callers", enqueuers, "10000", ""},
			{"%d caller that waits for each", 1, "", "under 5 ms"},
		} {
			r, err := runExchange(ctx, c.url(), row.enqueuers)
			if err != nil {
				return err
			}
			fmt.Fprintf(t, row.name+"\t%d\t%d\t%s\t%.3f ms\t%s\t%.3f ms\t\n", row.enqueuers, r.Enqueued, r.Handled, row.wanted, millis(r.P50), row.wantedMedian, millis(r.P99))
		}
		return t.Flush()
	})
}

func runExchange(ctx context.Context, url string, enqueuers int) (r exchanged, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, self, "messages", url, strconv.Itoa(enqueuers))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		return r, fmt.Errorf("%d enqueuers: %w", enqueuers, err)
	}
	return r, nil
}

// exchange is the process: its arguments are those of runExchange.
func exchange(ctx context.Context, out io.Writer, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	db, err := client.Open(ctx, args[0], client.WithAccessToken(accessToken)) // which counts over HTTP
	if err != nil {
		return err
	}
	defer db.Close()
	e := exchanger{db: db}
	ctx, stop := context.WithCancel(ctx)
	var listening sync.WaitGroup
	for range listeners {
		listening.Go(func() {
			if err := db.ListenQueue(ctx, e.handle, client.ListenOptions{}); !errors.Is(err, context.Canceled) {
				fmt.Fprintln(os.Stderr, "a listener ended:", err)
			}
		})
	}
	defer listening.Wait()
	defer stop()
	r, err := e.measure(ctx, n)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

// exchanger enqueues messages that carry the time, and handles them.
type exchanger struct {
	db   *client.DB
	sent atomic.Int64

	mu    sync.Mutex
	times []time.Duration // of messages that were handled
}

func (e *exchanger) handle(_ context.Context, m kv.Message) error {
	var began int64
	payload, err := v8.Decode(m.Payload)
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(payload.(string), messagePayload+"%d", &began); err != nil {
		return err
	}
	took := time.Since(time.Unix(0, began))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.times = append(e.times, took)
	return nil
}

func (e *exchanger) handled() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.times)
}

func (e *exchanger) enqueue(ctx context.Context) error {
	_, err := e.db.Enqueue(ctx, fmt.Sprint(messagePayload, time.Now().UnixNano()), client.EnqueueOptions{})
	if err == nil {
		e.sent.Add(1)
	}
	return err
}

// measure enqueues, waits until all is handled, and returns how it went after the first second.
func (e *exchanger) measure(ctx context.Context, enqueuers int) (r exchanged, err error) {
	if err := e.send(ctx, enqueuers, time.Second); err != nil { // what comes before warms up
		return r, err
	}
	if err := e.await(ctx); err != nil {
		return r, err
	}
	e.times, e.sent = nil, atomic.Int64{}
	began := time.Now()
	if err := e.send(ctx, enqueuers, measureFor); err != nil {
		return r, err
	}
	r.Enqueued = int(float64(e.sent.Load()) / time.Since(began).Seconds())
	if err := e.await(ctx); err != nil {
		return r, err
	}
	r.Handled = int(float64(len(e.times)) / time.Since(began).Seconds())
	slices.Sort(e.times)
	r.P50, r.P99 = e.times[len(e.times)/2], e.times[len(e.times)*99/100]
	return r, nil
}

// send enqueues for so long from as many goroutines; a single one waits a little after each.
func (e *exchanger) send(ctx context.Context, enqueuers int, d time.Duration) error {
	failed := make([]error, enqueuers)
	var sending sync.WaitGroup
	for i := range enqueuers {
		sending.Go(func() {
			for ends := time.Now().Add(d); failed[i] == nil && time.Now().Before(ends); {
				failed[i] = e.enqueue(ctx)
				if enqueuers == 1 {
					time.Sleep(idlePause)
				}
			}
		})
	}
	sending.Wait()
	return errors.Join(failed...)
}

// await waits until everything that was sent is handled.
func (e *exchanger) await(ctx context.Context) error {
	for deadline := time.Now().Add(handledWithin); e.handled() < int(e.sent.Load()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d messages were handled %v after the last was enqueued", e.handled(), e.sent.Load(), handledWithin)
		}
	}
	return nil
}
