package millpond_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Every public function of the client has an Example: one of its own, or one of its type that calls it.
func TestClientExamples(t *testing.T) {
	for _, dir := range []string{"client", "client/embedded", "client/clienttest"} {
		var functions []string
		examples := map[string]*ast.BlockStmt{}
		for _, f := range functionsIn(t, dir) {
			switch name := f.Name.Name; {
			case f.Recv == nil && strings.HasPrefix(name, "Example"):
				examples[strings.TrimPrefix(name, "Example")] = f.Body
			case f.test:
			case f.Recv == nil && f.Name.IsExported():
				functions = append(functions, name)
			case f.Recv != nil && f.Name.IsExported() && ast.IsExported(receiver(f.FuncDecl)):
				functions = append(functions, receiver(f.FuncDecl)+"."+name)
			}
		}
		for _, function := range functions {
			if !shown(function, examples) {
				t.Errorf("%s: %s has no Example", dir, function)
			}
		}
		if len(functions) == 0 {
			t.Errorf("%s has no public functions", dir)
		}
	}
}

func shown(function string, examples map[string]*ast.BlockStmt) bool {
	typ, method, isMethod := strings.Cut(function, ".")
	if !isMethod {
		return examples[typ] != nil
	}
	switch method {
	case "Error", "Is", "String": // fmt and errors call them
		return true
	}
	for name, body := range examples {
		if of, _, _ := strings.Cut(name, "_"); of == typ && (name == typ+"_"+method || calls(body, method)) {
			return true
		}
	}
	return false
}

func calls(body *ast.BlockStmt, method string) (found bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		found = found || ok && s.Sel.Name == method
		return !found
	})
	return found
}

type function struct {
	*ast.FuncDecl
	test bool // it is in a test file
}

func functionsIn(t *testing.T, dir string) (all []function) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				all = append(all, function{f, strings.HasSuffix(path, "_test.go")})
			}
		}
	}
	return all
}

// receiver is the name of the type that f is a method of.
func receiver(f *ast.FuncDecl) string {
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if generic, ok := typ.(*ast.IndexExpr); ok {
		typ = generic.X
	}
	name, _ := typ.(*ast.Ident)
	return name.Name
}
