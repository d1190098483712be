// Package config fills one struct from flags, the environment and a YAML file.
//
// A field is a setting when it has a config tag. Its other tags say everything that a user is told about it:
//
//	Addr  string `config:"addr" default:"127.0.0.1:4512" help:"listen on this address" tradeoff:"…"`
//	Token string `config:"access-token" env:"DENO_KV_ACCESS_TOKEN" secret:"true" help:"the token that clients must send"`
//
// The setting access-token is then the flag --access-token, the variables MILLPOND_ACCESS_TOKEN and DENO_KV_ACCESS_TOKEN
// and the key access-token of the file. The first source that has it decides, in the order flag, MILLPOND_ variable, the
// variables of the env tag (separated by commas), file, default tag. A variable that is set to nothing counts as not set.
//
// A setting with secret:"true" can also be named with "-file" (in a variable, "_FILE") to be read from a file, without the
// line end. Giving both forms in one source is an error.
//
// Fields are of type string, bool, int, [time.Duration], [Size] or []string. A list is written as a comma-separated text, as
// a flag given several times, or as a YAML list. The settings of an embedded struct belong to the outer one, so that several
// commands can share some.
package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/spf13/pflag"
)

// fileFlag is the name of the setting that names the YAML file; every Loader has it.
const fileFlag = "config"

// Loader knows the settings of one struct. It is made by Bind, and not safe for concurrent use.
type Loader struct {
	settings []*setting
	file     *setting // names the YAML file
	byName   map[string]*setting
	preset   Preset
}

// Preset is one more source of settings, right behind the flags: a set of them that belong together and that a user keeps.
type Preset struct {
	Source string            // for errors, such as "context prod"
	Values map[string]string // by setting; those of other commands are passed over
}

// Use sets the preset for Load.
func (l *Loader) Use(p Preset) { l.preset = p }

// Names returns the settings that can be given in a file, and whether they are secret. Of secrets there is also the name with
// "-file".
func (l *Loader) Names() map[string]bool {
	names := map[string]bool{}
	for _, s := range l.settings {
		if s == l.file {
			continue
		}
		names[s.name] = s.secret
		if s.secret {
			names[s.name+secretFile] = false
		}
	}
	return names
}

// Bind registers a flag for every setting of *cfg, which must be a pointer to a struct, and the flag --config for the file.
// The struct is filled by Load. Bind panics on a struct that it cannot use, such as one with two settings of the same name,
// and on a default that does not parse.
func Bind(fs *pflag.FlagSet, cfg any) *Loader {
	l := &Loader{byName: map[string]*setting{}}
	l.file = newSetting(fileFlag, reflect.ValueOf(new(string)).Elem(), `config:"config" help:"read settings from this YAML `+"`file`"+`"`)
	l.add(fs, l.file)
	l.addFields(fs, reflect.ValueOf(cfg).Elem())
	return l
}

func (l *Loader) addFields(fs *pflag.FlagSet, v reflect.Value) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous && field.Type.Kind() == reflect.Struct {
			l.addFields(fs, v.Field(i))
			continue
		}
		if name := field.Tag.Get("config"); name != "" {
			l.add(fs, newSetting(name, v.Field(i), field.Tag))
		}
	}
}

func (l *Loader) add(fs *pflag.FlagSet, s *setting) {
	if l.byName[s.name] != nil {
		panic("config: two settings are named " + s.name)
	}
	l.byName[s.name] = s
	l.settings = append(l.settings, s)
	s.register(fs)
}

// Load fills the struct; call it after the flags were parsed. lookupEnv is os.LookupEnv or a test's. The error is one
// sentence that names the setting, the source that the bad value came from and what is allowed; after it the struct is
// partly filled.
func (l *Loader) Load(lookupEnv func(string) (string, bool)) error {
	if found, err := l.file.take(l.file.flag.given(), nil); err != nil {
		return err
	} else if !found {
		if _, err := l.file.fromEnv(lookupEnv); err != nil {
			return err
		}
	}
	fromFile, err := l.readFile(l.file.field.String())
	if err != nil {
		return err
	}
	for _, s := range l.settings {
		if s == l.file {
			continue
		}
		found, err := s.take(s.flag.given(), s.fileFlag.given())
		if err == nil && !found {
			found, err = l.fromPreset(s)
		}
		if err == nil && !found {
			found, err = s.fromEnv(lookupEnv)
		}
		if err == nil && !found {
			found, err = s.take(fromFile[s.name], fromFile[s.name+secretFile])
		}
		if err == nil && !found {
			s.source = "default"
			err = s.set(s.defaults)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Source says where Load found the setting, in words for an error about its value: "flag --addr", "environment variable
// MILLPOND_ADDR", "millpond.yaml line 3" or "default".
func (l *Loader) Source(name string) string { return l.byName[name].source }

// given is one source's text for a setting.
type given struct {
	source string
	texts  []string
}

func (l *Loader) fromPreset(s *setting) (found bool, err error) {
	var texts [2]*given
	for i, name := range []string{s.name, s.name + secretFile} {
		if text, ok := l.preset.Values[name]; ok && (i == 0 || s.secret) {
			texts[i] = &given{l.preset.Source, []string{text}}
		}
	}
	return s.take(texts[0], texts[1])
}

func (s *setting) fromEnv(lookupEnv func(string) (string, bool)) (found bool, err error) {
	for _, name := range s.env {
		var secret *given
		if s.secret {
			secret = variable(lookupEnv, name+secretEnv)
		}
		if found, err = s.take(variable(lookupEnv, name), secret); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

func variable(lookupEnv func(string) (string, bool), name string) *given {
	text, ok := lookupEnv(name)
	if !ok || text == "" {
		return nil
	}
	return &given{"environment variable " + name, []string{text}}
}

// take sets s from a source's two forms of it: its value, or the name of the file that has it.
func (s *setting) take(value, file *given) (found bool, err error) {
	switch {
	case value == nil && file == nil:
		return false, nil
	case value != nil && file != nil:
		return false, fmt.Errorf("%s is given by %s and by %s; use one of them", s.name, value.source, file.source)
	case file != nil:
		if value, err = readSecret(file); err != nil {
			return false, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	s.source = value.source
	if err := s.set(value.texts); err != nil {
		return false, fmt.Errorf("%s (from %s): %w", s.name, s.source, err)
	}
	return true, nil
}

func readSecret(file *given) (*given, error) {
	path := file.texts[0]
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the file that %s names: %w", file.source, err)
	}
	text := strings.TrimRight(string(b), "\r\n")
	if text == "" {
		return nil, fmt.Errorf("the file %s that %s names is empty", path, file.source)
	}
	return &given{file.source + ", file " + path, []string{text}}, nil
}
