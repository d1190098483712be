//go:build linux

package faults

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/test/check"
)

const bankDatabase = "bank"

// bank is a Deno program that moves money in the database of that name, and what it has said.
type bank struct {
	cmd *exec.Cmd

	mu        sync.Mutex
	transfers []string // versionstamps
	audits    []string // totals
	odd       []string // other lines
}

// openBank starts bank.ts at a reader. It ends with the test.
func openBank(t testing.TB, reader *process, dir string) *bank {
	t.Helper()
	b := &bank{cmd: exec.Command(deno(t), "run", "--quiet", "--unstable-kv", "--no-lock", "--no-prompt", "--allow-all",
		"../clients/deno/bank.ts", reader.url()+"/"+bankDatabase, strconv.Itoa(accounts), strconv.Itoa(balance))}
	b.cmd.Env = append(os.Environ(), "DENO_KV_ACCESS_TOKEN="+accessToken, "DENO_NO_UPDATE_CHECK=1", "NO_COLOR=1")
	errors, err := os.Create(filepath.Join(dir, "deno-"+reader.name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	defer errors.Close()
	b.cmd.Stderr = errors
	out, err := b.cmd.StdoutPipe()
	if err == nil {
		err = b.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			b.hear(lines.Text())
		}
	}()
	t.Cleanup(func() {
		b.cmd.Process.Kill()
		<-done
		b.cmd.Wait()
	})
	return b
}

func deno(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("MILLPOND_DENO"); path != "" {
		return path
	}
	found, err := filepath.Glob("../clients/node_modules/@deno/*/deno")
	if err != nil || len(found) == 0 {
		t.Fatal("no Deno here: run make test (or make tools) first")
	}
	path, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (b *bank) hear(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch what, which, _ := strings.Cut(line, " "); what {
	case "transfer":
		b.transfers = append(b.transfers, which)
	case "audit":
		b.audits = append(b.audits, which)
	default:
		b.odd = append(b.odd, line)
	}
}

// opened reports whether the first audit is done.
func (b *bank) opened() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.audits) > 0
}

// pause stops the program, so that its log does not grow; resume lets it go on.
func (b *bank) pause()  { b.cmd.Process.Signal(syscall.SIGSTOP) }
func (b *bank) resume() { b.cmd.Process.Signal(syscall.SIGCONT) }

// violations holds what the program was told to its database's log: the money stays the same after each record, and every
// transfer that was acked is there.
func (b *bank) violations(log []check.Stored) (found []string) {
	violate := func(parts ...string) { found = append(found, "bank: "+strings.Join(parts, " ")) }
	chain, money, stamps := events.Chain{}, map[kv.EncodedKey]float64{}, map[string]bool{}
	for _, m := range log {
		s, err := events.Open(m.Message)
		counts := false
		if err == nil {
			counts, err = chain.Accept(s)
		}
		if err != nil {
			violate("the log cannot be replayed:", err.Error())
			return found
		}
		if !counts {
			continue
		}
		for i, commit := range s.Record.Commits {
			stamps[kv.NewVersionstamp(s.Position, uint16(i)).String()] = true
			for _, e := range commit.Effects {
				money[e.Key] = credit(kv.Entry{Key: e.Key, Value: e.Value})
			}
		}
		if total := sum(money); len(money) > 0 && total != accounts*balance {
			violate("at position", strconv.Itoa(int(s.Position)), "there is", strconv.Itoa(int(total)))
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, stamp := range b.transfers {
		if !stamps[stamp] {
			violate("the transfer at", stamp, "was acked and is not in the log")
		}
	}
	for _, total := range b.audits {
		if total != strconv.Itoa(accounts*balance) {
			violate("an audit found", total)
		}
	}
	for _, line := range b.odd {
		violate("the program printed", line)
	}
	return found
}

func sum(money map[kv.EncodedKey]float64) (total float64) {
	for _, n := range money {
		total += n
	}
	return total
}
