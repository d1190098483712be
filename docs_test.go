package millpond_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The program that the README shows is the one that the tests run.
func TestReadmeProgram(t *testing.T) {
	if program := read(t, "examples/hello.ts"); !strings.Contains(read(t, "README.md"), "```ts\n"+program+"```\n") {
		t.Errorf("README.md does not show examples/hello.ts as it is:\n%s", program)
	}
}

// Every path of the project that the architecture page names is there.
func TestArchitecturePaths(t *testing.T) {
	quoted := regexp.MustCompile("`([a-z0-9_]+(?:/[A-Za-z0-9_.]+)*/?(?:\\.go|\\.md)?)`")
	named := 0
	for _, match := range quoted.FindAllStringSubmatch(read(t, "docs/ARCHITECTURE.md"), -1) {
		path := match[1]
		if !strings.Contains(path, "/") && !strings.HasSuffix(path, ".go") { // a name in the code, not a path
			continue
		}
		named++
		if _, err := os.Stat(path); err != nil {
			t.Errorf("docs/ARCHITECTURE.md names %s: %v", path, err)
		}
	}
	if named < 20 {
		t.Errorf("%d paths found; the pattern must have missed some", named)
	}
}

// Every relative link of every page leads somewhere. Code has none: Get[User](ctx) is a call in Go.
func TestLinks(t *testing.T) {
	code := regexp.MustCompile("(?ms)^```.*?^```$")
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".cache" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		for _, match := range link.FindAllStringSubmatch(code.ReplaceAllString(read(t, path), ""), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), match[1])); err != nil {
				t.Errorf("%s links to %s: %v", path, match[1], err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
