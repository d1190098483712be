package test

import (
	"context"
	"testing"
)

// The other clients work as their users expect: @deno/kv at each version of the protocol, kv-connect-kit, unstorage on
// Node, denokv on Python.
func TestNodeAndPythonPrograms(t *testing.T) {
	s := startServer(t)
	node := func(program string, args ...string) func(*testing.T) {
		return func(t *testing.T) {
			if got := runNode(t, program, args...); got != "ok" {
				t.Errorf("printed %q, want ok", got)
			}
		}
	}
	t.Run("deno-kv/1", node("seed.mjs", s.url("node-1"), "1"))
	t.Run("deno-kv/2", node("seed.mjs", s.url("node-2"), "2"))
	t.Run("deno-kv/3", node("seed.mjs", s.url("node-3"), "3"))
	t.Run("deno-kv/watch", node("watch.mjs", s.url("node-watch")))
	t.Run("kv-connect-kit", node("kit.mjs", s.url("kit")))
	t.Run("unstorage", node("unstorage.mjs", s.url("unstorage")))
	t.Run("python", func(t *testing.T) {
		if got := run(t, pythonCommand, "clients/python/seed.py", s.url("python")); got != "ok" {
			t.Errorf("printed %q, want ok", got)
		}
	})
}

// What one client writes the others read: every kind of JavaScript value that both ends know, also after the server has
// started anew from its log.
func TestValuesCrossClients(t *testing.T) {
	s := startServer(t)
	url := s.url("")
	runDeno(t, "values.ts", url, "write", "deno")
	runNode(t, "values.mjs", url, "write", "node")
	compare := func(t *testing.T) {
		for _, writer := range []string{"deno", "node"} {
			t.Run("deno reads "+writer, func(t *testing.T) { runDeno(t, "values.ts", url, "compare", writer) })
			t.Run("node reads "+writer, func(t *testing.T) { runNode(t, "values.mjs", url, "compare", writer) })
			t.Run("python reads "+writer, func(t *testing.T) {
				run(t, pythonCommand, "clients/python/values.py", url, writer)
			})
		}
	}
	compare(t)
	s.stop()
	s.start()
	t.Run("after a restart", compare)
}

// A watch of Deno outlives its server: it connects again and shows what has changed meanwhile.
func TestDenoWatchSurvivesARestart(t *testing.T) {
	s := startServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), programWait)
	defer cancel()
	watcher := startProgram(t, denoCommand(ctx, t, "clients/deno/watcher.ts", s.url("")))
	expect := func(want string) {
		t.Helper()
		for got := watcher.line(ctx); got != want; got = watcher.line(ctx) {
			t.Logf("the watch shows %s", got)
		}
	}
	expect("null")
	dial(t, s.url("")).commit(set(key("w"), js("before")))
	expect(`"before"`)

	s.stop()
	s.start()
	dial(t, s.url("")).commit(set(key("w"), js("after a stop")))
	expect(`"after a stop"`)

	s.kill()
	s.start()
	dial(t, s.url("")).commit(set(key("w"), js("after a crash")))
	expect(`"after a crash"`)
}
