// Package millpond_test holds the tests of the module as a whole.
package millpond_test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/millpondkv/millpond"

// arrows says which packages of the module each package may import, its tests aside: imports point one way. The longest
// prefix counts, and packages of one prefix may import each other; "events/..." is events and all that is below it.
var arrows = map[string][]string{
	"kv":            {},
	"kv/v8":         {},
	"kv/v8/literal": {"kv", "kv/v8"},
	"kv/kvtest":     {"kv", "kv/v8"},

	"events":     {"kv", "internal/asking", "internal/codec", "internal/fault", "internal/near"},
	"projection": {"events", "kv", "internal/syncfile", "internal/fault"},
	"writer":     {"projection", "events", "kv", "kv/v8", "internal/fault", "internal/trouble"}, // the sequencer decides on its own projection

	"kvconnect":          {"kvconnect/datapath", "service/wire", "kv", "kv/v8"}, // answers about the past are of one form everywhere
	"kvconnect/datapath": {},
	"queue":              {"events", "kv", "kv/v8", "internal/trouble"},
	"backup":             {"events", "kv", "kv/v8", "internal/syncfile"},
	"history":            {"projection", "events", "kv", "internal/checkpoints"}, // it reads checkpoints, and what is behind them

	// Above the line of what a server is made of: what puts it together.
	"engine":             append([]string{"internal/checkpoints", "internal/databases", "internal/measure", "internal/natsserver", "internal/syncfile"}, servers...),
	"service":            append([]string{"service/wire", "internal/batch", "internal/checkpoints", "internal/databases", "internal/fault", "internal/measure", "internal/near", "internal/trouble"}, servers...),
	"service/wire":       {"kv", "internal/codec"}, // clients use it too
	"internal/serve":     append([]string{"engine", "internal/front", "internal/config", "internal/natsserver", "internal/recovery", "internal/syncfile"}, servers...),
	"internal/cluster":   append([]string{"service", "internal/checkpoints", "internal/front", "internal/cli", "internal/config", "internal/fault"}, servers...),
	"internal/front":     {"kvconnect"},
	"internal/recovery":  append([]string{"engine", "internal/checkpoints"}, servers...),         // what backup needs, made of what servers are made of
	"internal/databases": append([]string{"internal/checkpoints", "internal/fault"}, servers...), // made with a state, and taken away with one

	"client":            {"kv", "kv/v8", "kvconnect/datapath", "service/wire", "internal/batch", "internal/near"}, // no server code
	"client/clienttest": {"client", "client/embedded"},                                                            // for tests: it brings the engine with it
	"client/embedded":   append([]string{"engine", "service", "client", "internal/natsserver"}, servers...),
	"cmd":               append([]string{"engine", "service", "client/...", "kv/v8/literal", "internal/..."}, servers...),

	"internal/asking":      {},
	"internal/batch":       {},
	"internal/checkpoints": {"projection", "events/...", "queue", "kv", "internal/asking", "internal/fault"}, // of the states that logs lead to; kept in NATS beside those, with the messages of queues
	"internal/cli":         {},
	"internal/codec":       {"kv"},
	"internal/config":      {},
	"internal/fault":       {},                                           // named points and guards; nothing without the tag faults
	"internal/importer":    {"client", "internal/ndjson", "kv", "kv/v8"}, // it writes as any client does
	"internal/ndjson":      {"kv", "kv/v8", "kv/v8/literal"},
	"internal/measure":     {"internal/checkpoints", "projection", "kv"}, // metrics that engine and service share
	"internal/natsserver":  {},
	"internal/near":        {},
	"internal/syncfile":    {},
	"internal/trouble":     {},                               // what every loop that tries again logs by
	"internal/fakeserver":  {"kvconnect", "kv", "kv/kvtest"}, // for tests of clients
	"test":                 {},
	"test/bench":           append([]string{"engine", "client/...", "internal/..."}, servers...),
	"test/check":           {"projection", "events", "kv", "kv/kvtest"},
	"test/sim":             {"test/check", "writer", "projection", "events", "kv", "kv/kvtest"},
	module:                 {}, // this directory
}

// servers are the packages that a server is made of.
var servers = []string{"writer", "projection", "events/...", "kvconnect/...", "queue", "history", "backup/...", "kv", "kv/v8"}

// serverModules names the modules that a client program must not be made to link.
var serverModules = []string{"github.com/nats-io/nats-server/", "github.com/tidwall/buntdb", "github.com/prometheus/", "go.opentelemetry.io/"}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range packages(t) {
		if below(strings.TrimPrefix(p.ImportPath, module+"/"), "bin") { // git ignores it
			continue
		}
		rule, ok := ruleOf(p.ImportPath)
		if !ok {
			t.Errorf("%s is in no rule; say in arrows what it may import", p.ImportPath)
			continue
		}
		for _, imported := range own(p.Imports) {
			if other, _ := ruleOf(module + "/" + imported); other != rule && !allowed(imported, arrows[rule]) {
				t.Errorf("%s must not import %s", p.ImportPath, imported)
			}
		}
	}
}

func TestNothingImportsCmd(t *testing.T) {
	for _, p := range packages(t) {
		for _, imports := range [][]string{p.Imports, p.TestImports, p.XTestImports} {
			for _, imported := range own(imports) {
				if below(imported, "cmd") && !below(strings.TrimPrefix(p.ImportPath, module+"/"), imported) {
					t.Errorf("%s must not import %s; what both need belongs into a package of its own", p.ImportPath, imported)
				}
			}
		}
	}
}

// Importing the client does not link a server.
func TestClientIsLight(t *testing.T) {
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module+"/")
		if !below(path, "client") || below(path, "client/embedded") || below(path, "client/clienttest") {
			continue
		}
		for _, dependency := range p.Deps {
			for _, server := range serverModules {
				if strings.HasPrefix(dependency, server) {
					t.Errorf("%s depends on %s", p.ImportPath, dependency)
				}
			}
		}
	}
}

type goPackage struct {
	ImportPath                               string
	Imports, TestImports, XTestImports, Deps []string
}

// packages asks the go command for all packages of the module.
func packages(t *testing.T) []goPackage {
	t.Helper()
	touchSources(t)
	list := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", module+"/...")
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
}

// touchSources looks at every Go file, so that the go command knows that these tests depend on all of them, and does not
// answer from its cache after one has changed.
func touchSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || len(path) > 1 && d.Name()[0] == '.'):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) == ".go":
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // an editor's file may vanish meanwhile
		t.Fatal(err)
	}
}

// own returns those of the imports that are packages of the module, without the module's name.
func own(imports []string) (paths []string) {
	for _, path := range imports {
		if path, ok := strings.CutPrefix(path, module+"/"); ok {
			paths = append(paths, path)
		}
	}
	return paths
}

// ruleOf returns the longest prefix in arrows.
func ruleOf(importPath string) (rule string, ok bool) {
	path := strings.TrimPrefix(importPath, module+"/")
	for prefix := range arrows {
		if below(path, prefix) && len(prefix) >= len(rule) {
			rule, ok = prefix, true
		}
	}
	return rule, ok
}

// below reports whether path is the package or is in a directory below it.
func below(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func allowed(path string, patterns []string) bool {
	for _, pattern := range patterns {
		if dir, ok := strings.CutSuffix(pattern, "/..."); ok && below(path, dir) || path == pattern {
			return true
		}
	}
	return false
}
