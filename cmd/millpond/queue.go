package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/ndjson"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
)

func newQueueCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Send, take and look at the messages of a database's queue",
		Long: `Send, take and look at the messages of a database's queue: what programs enqueue and others listen for. All but "send" need
Millpond behind the URL.

A message that was sent waits until it is due, goes to one listener, and is gone once that has handled it. If a listener fails it comes
again; a message that has failed too often is given up and kept among the dead.`,
		Example: `  millpond queue send '{ to: "alice@example.com" }'
  millpond queue stats
  millpond queue peek
  millpond queue listen -- ./handle-message`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newQueueSendCommand(), newQueueListenCommand(), newQueueStatsCommand(), newQueuePeekCommand(), newQueueRetryDeadCommand())
	return cmd
}

func newQueueSendCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "send PAYLOAD",
		Short: "Enqueue a message",
		Long: `Enqueue a message and show the versionstamp of its commit. PAYLOAD is JavaScript or JSON; "-" reads it from stdin.

After a failed attempt the message comes again after the next step of --backoff; after the last step it is given up, and
its payload is written to the keys of --undelivered. Without --backoff there are six attempts, as in Deno.`,
		Example: `  millpond queue send '{ to: "alice@example.com" }'
  millpond queue send '"wake up"' --delay 8h --backoff 1s,1m --undelivered '["failed", "wake up"]'
  millpond queue send '"once"' --backoff none`,
		Args: cobra.ExactArgs(1),
	}
	conn, out := bindConnection(cmd), bindOutput(cmd, "table", "json")
	var delay time.Duration
	var backoff string
	var undelivered []string
	cmd.Flags().DurationVar(&delay, "delay", 0, "deliver it not before this time has passed, at most 720h")
	cmd.Flags().StringVar(&backoff, "backoff", "", "the pauses before further attempts, such as 100ms,5s; or none, for one attempt")
	cmd.Flags().StringArrayVar(&undelivered, "undelivered", nil, "write the payload to this `key` if every attempt fails; may be given several times")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		payload, err := parsePayload(args[0], cmd.InOrStdin())
		if err != nil {
			return err
		}
		opts := client.EnqueueOptions{Delay: delay}
		if opts.Backoff, err = parseBackoff(backoff); err != nil {
			return err
		}
		if opts.KeysIfUndelivered, err = parseKeys(undelivered); err != nil {
			return err
		}
		return conn.once(cmd, func(ctx context.Context, db *client.DB) error {
			v, err := db.Enqueue(ctx, payload, opts)
			if err != nil {
				return err
			}
			return out.result(cmd.OutOrStdout(), map[string]string{"versionstamp": v.String()}, "%s\n", v)
		})
	}
	return cmd
}

// parsePayload reads a V8 value. Unlike a value that is stored, a Uint8Array is one too.
func parsePayload(text string, stdin io.Reader) (kv.Value, error) {
	value, err := valueForm{}.parse(text, stdin)
	switch {
	case err == nil && value.Encoding == kv.EncodingBytes:
		return client.V8(v8.Uint8Array(value.Data))
	case err == nil && value.Encoding != kv.EncodingV8:
		return value, usagef("a Deno.KvU64 cannot be sent; send a number or a bigint")
	}
	return value, err
}

func parseBackoff(text string) ([]time.Duration, error) {
	switch text {
	case "":
		return nil, nil
	case "none":
		return []time.Duration{}, nil
	}
	var steps []time.Duration
	for step := range strings.SplitSeq(text, ",") {
		d, err := time.ParseDuration(strings.TrimSpace(step))
		if err != nil {
			return nil, usagef("--backoff: %q is not a time such as 100ms or 5s", step)
		}
		steps = append(steps, d)
	}
	return steps, nil
}

// errEnough ends a listener that has handled as many messages as it was to.
var errEnough = errors.New("enough messages were handled")

func newQueueListenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "listen [-- COMMAND [ARG...]]",
		Short: "Take messages, and show them or run a command for each, until Ctrl-C",
		Long: `Take messages out of the queue and show each on a line, as JavaScript, until Ctrl-C. Other listeners share the load. A message
that was shown is gone from the queue; to look at messages without taking them use "millpond queue peek".

With a command, it is run for each message, which it finds on its stdin; MILLPOND_MESSAGE_ID and MILLPOND_ATTEMPT tell of
it. If it ends with another exit code than 0 the attempt has failed, and the message comes again by its backoff schedule.`,
		Example: `  millpond queue listen
  millpond queue listen --count 1
  millpond queue listen --concurrency 4 -- ./handle-message`,
		Args: cobra.ArbitraryArgs,
	}
	conn, out := bindConnection(cmd), bindOutput(cmd, "table", "json")
	var count, concurrency int
	cmd.Flags().IntVar(&count, "count", 0, "end after so many messages were handled; 0 is never")
	cmd.Flags().IntVar(&concurrency, "concurrency", 1, "handle so many messages at once")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if count < 0 || concurrency < 1 {
			return usagef("--count must not be negative, and --concurrency be at least 1")
		}
		if len(args) > 0 {
			if _, err := exec.LookPath(args[0]); err != nil { // before it costs messages an attempt
				return usagef("the command %s cannot be run: %w", args[0], errors.Unwrap(err))
			}
		}
		return conn.do(cmd, func(ctx context.Context, db *client.DB) error {
			ctx, enough := context.WithCancelCause(ctx)
			defer enough(nil)
			h := &messageHandler{cmd: cmd, args: args, out: out, left: count, enough: func() { enough(errEnough) }}
			err := db.ListenQueue(ctx, h.handle, client.ListenOptions{Concurrency: concurrency})
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		})
	}
	return cmd
}

// messageHandler shows messages, or runs a command for them.
type messageHandler struct {
	cmd    *cobra.Command
	args   []string
	out    *output
	enough func()

	mu   sync.Mutex
	left int // messages until it is enough; 0: it never is
	over bool
}

var errOver = errors.New("this listener ends")

func (h *messageHandler) handle(ctx context.Context, m kv.Message) error {
	h.mu.Lock()
	over := h.over
	h.mu.Unlock()
	if over {
		return errOver
	}
	if err := h.do(ctx, m); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left--; h.left == 0 {
		h.over = true
		h.enough()
	}
	return nil
}

func (h *messageHandler) do(ctx context.Context, m kv.Message) error {
	text := showPayload(m.Payload)
	if len(h.args) == 0 {
		h.mu.Lock()
		defer h.mu.Unlock()
		view := messageLine{ID: m.ID, Attempt: m.Attempt, Payload: payloadJSON(m.Payload)}
		return h.out.result(h.cmd.OutOrStdout(), view, "%s\n", text)
	}
	run := exec.CommandContext(ctx, h.args[0], h.args[1:]...)
	run.Stdin, run.Stdout, run.Stderr = strings.NewReader(text+"\n"), h.cmd.OutOrStdout(), h.cmd.ErrOrStderr()
	run.Env = append(os.Environ(), "MILLPOND_MESSAGE_ID="+m.ID, "MILLPOND_ATTEMPT="+strconv.Itoa(m.Attempt))
	return run.Run()
}

func showPayload(payload []byte) string {
	return showValue(kv.Value{Encoding: kv.EncodingV8, Data: payload}, literal.Format)
}

// messageLine is a message as JSON. A listener knows the attempt, peek when the message is or was due.
type messageLine struct {
	ID      string          `json:"id"`
	Attempt int             `json:"attempt,omitempty"`
	Due     string          `json:"due,omitempty"`
	Payload json.RawMessage `json:"payload"` // with its type, as values of entries
}

func payloadJSON(payload []byte) json.RawMessage {
	return ndjson.AppendValue(nil, kv.Value{Encoding: kv.EncodingV8, Data: payload})
}

func newQueueStatsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Show how many messages there are",
		Long: `Show how many messages wait for a listener, are scheduled for later, are in flight (with a listener, or between two
attempts), and are dead (given up), and how old the oldest is that is due and not handled.`,
		Args: cobra.NoArgs,
	}
	conn, out := bindConnection(cmd), bindOutput(cmd, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return conn.once(cmd, func(ctx context.Context, db *client.DB) error {
			s, err := db.QueueStats(ctx)
			if err != nil {
				return err
			}
			view := queueStatsView{s.Waiting, s.Scheduled, s.InFlight, s.Dead, s.OldestAge.Milliseconds()}
			return out.result(cmd.OutOrStdout(), view, "waiting     %d\nscheduled   %d\nin flight   %d\ndead        %d\noldest age  %v\n",
				s.Waiting, s.Scheduled, s.InFlight, s.Dead, s.OldestAge)
		})
	}
	return cmd
}

// queueStatsView is the state of a queue as JSON.
type queueStatsView struct {
	Waiting   uint64 `json:"waiting"`
	Scheduled uint64 `json:"scheduled"`
	InFlight  uint64 `json:"inFlight"`
	Dead      uint64 `json:"dead"`
	OldestAge int64  `json:"oldestAge"` // milliseconds
}

func newQueuePeekCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "peek",
		Short: "Show messages without taking them",
		Long: `Show messages without taking them: those that are due, the oldest first, which includes those in flight; with --state
scheduled those that are not due yet, and with --state dead those that were given up.`,
		Example: `  millpond queue peek
  millpond queue peek --state dead --max 100`,
		Args: cobra.NoArgs,
	}
	conn, out := bindConnection(cmd), bindOutput(cmd, "table", "json")
	var state string
	var most int
	cmd.Flags().StringVar(&state, "state", string(kv.MessageDue), "due, scheduled or dead")
	cmd.Flags().IntVar(&most, "max", 10, "show at most so many, up to 100")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return conn.once(cmd, func(ctx context.Context, db *client.DB) error {
			messages, err := db.PeekQueue(ctx, kv.MessageState(state), most)
			if err != nil {
				return err
			}
			return out.peeked(cmd.OutOrStdout(), messages)
		})
	}
	return cmd
}

func (o *output) peeked(w io.Writer, messages []kv.PeekedMessage) error {
	s := &sections{w: w}
	s.begin("ID", "DUE", "PAYLOAD")
	for _, m := range messages {
		due := cmp.Or(m.Deadline, m.Enqueued).String()
		if o.format != "json" {
			s.row(m.ID, due, showPayload(m.Payload))
		} else if err := writeLine(w, messageLine{ID: m.ID, Due: due, Payload: payloadJSON(m.Payload)}); err != nil {
			return err
		}
	}
	return s.end()
}

func newQueueRetryDeadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retry-dead",
		Short: "Put all messages that were given up back into the queue",
		Long: `Put all messages that were given up back into the queue, with all their attempts before them, and show how many. They
are kept for 30 days. The keys that were written when they were given up stay.`,
		Args: cobra.NoArgs,
	}
	conn, out := bindConnection(cmd), bindOutput(cmd, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return conn.once(cmd, func(ctx context.Context, db *client.DB) error {
			n, err := db.RetryDead(ctx)
			if err != nil {
				return err
			}
			return out.result(cmd.OutOrStdout(), map[string]int{"putBack": n}, "messages put back: %d\n", n)
		})
	}
	return cmd
}
