package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// readFile returns what the YAML file at path gives, by setting; nothing for an empty path. Keys that are no settings, keys
// that come twice and values of the wrong shape are errors that name the line.
func (l *Loader) readFile(path string) (map[string]*given, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the config file that %s names: %w", l.file.source, err)
	}
	defer f.Close()
	var document yaml.Node
	if err := yaml.NewDecoder(f).Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil // nothing but comments
	} else if err != nil {
		return nil, fmt.Errorf("config file %s: %w", path, err)
	}
	return l.readMapping(filepath.Base(path), document.Content[0])
}

func (l *Loader) readMapping(file string, node *yaml.Node) (map[string]*given, error) {
	if node.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s line %d: the file must be a list of lines \"setting: value\"", file, node.Line)
	}
	found := map[string]*given{}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		at := fmt.Sprintf("%s line %d", file, key.Line)
		if !l.allowedInFile(key.Value) {
			return nil, fmt.Errorf("%s: there is no setting %q; --help lists them all", at, key.Value)
		}
		if found[key.Value] != nil {
			return nil, fmt.Errorf("%s: %s was set before, at %s", at, key.Value, found[key.Value].source)
		}
		texts, err := l.readValue(key.Value, value)
		if err != nil {
			return nil, fmt.Errorf("%s: %s %w", at, key.Value, err)
		}
		found[key.Value] = &given{at, texts}
	}
	return found, nil
}

func (l *Loader) allowedInFile(name string) bool {
	for _, s := range l.settings {
		if s != l.file && (s.name == name || s.secret && s.name+secretFile == name) {
			return true
		}
	}
	return false
}

func (l *Loader) readValue(name string, node *yaml.Node) ([]string, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return nil, errors.New("has no value; remove the line or write one")
	case node.Kind == yaml.ScalarNode:
		return []string{node.Value}, nil
	case node.Kind == yaml.SequenceNode && l.isList(name):
		texts := []string{} // an empty list overrides the default
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return nil, errors.New("is a list of something else than plain values")
			}
			texts = append(texts, item.Value)
		}
		return texts, nil
	case l.isList(name):
		return nil, errors.New("must be a list of plain values")
	}
	return nil, errors.New("must be one plain value")
}

func (l *Loader) isList(name string) bool {
	s := l.byName[name]
	return s != nil && s.field.Type() == listType
}
