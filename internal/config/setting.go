package config

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

const (
	envPrefix  = "MILLPOND_"
	secretFile = "-file" // behind the name of a secret: the file that has it
	secretEnv  = "_FILE" // the same behind a variable's name
)

// setting is one field of the struct.
type setting struct {
	name     string
	usage    string
	defaults []string // text of the default
	env      []string // variables, the first one decides
	secret   bool
	field    reflect.Value
	flag     *flagValue
	fileFlag *flagValue // of a secret; otherwise nil
	source   string     // set by Load
}

func newSetting(name string, field reflect.Value, tag reflect.StructTag) *setting {
	s := &setting{
		name:   name,
		field:  field,
		secret: tag.Get("secret") == "true",
		env:    []string{envPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))},
	}
	if aliases := tag.Get("env"); aliases != "" {
		s.env = append(s.env, strings.Split(aliases, ",")...)
	}
	text, ok := zeroTexts[kindName(field.Type())]
	if !ok {
		panic(fmt.Sprintf("config: %s cannot be of type %s", name, field.Type()))
	}
	if given, ok := tag.Lookup("default"); ok {
		text = given
	}
	s.defaults = []string{text}
	if err := s.set(s.defaults); err != nil {
		panic(fmt.Sprintf("config: default of %s: %v", name, err))
	}
	s.usage = tag.Get("help")
	if tradeoff := tag.Get("tradeoff"); tradeoff != "" {
		s.usage += "; " + tradeoff
	}
	s.usage += " [" + strings.Join(s.env, ", ") + "]"
	return s
}

func (s *setting) register(fs *pflag.FlagSet) {
	s.flag = &flagValue{setting: s, source: "flag --" + s.name, kind: kindName(s.field.Type()), text: s.defaults[0]}
	f := fs.VarPF(s.flag, s.name, "", s.usage)
	if s.field.Kind() == reflect.Bool {
		f.NoOptDefVal = "true"
	}
	if s.secret {
		name := s.name + secretFile
		s.fileFlag = &flagValue{source: "flag --" + name, kind: "string"}
		variables := strings.Join(s.env, secretEnv+", ") + secretEnv
		fs.VarPF(s.fileFlag, name, "", "read "+s.name+" from this `file` ["+variables+"]")
	}
}

// flagValue is a setting's flag: it remembers the texts it was given, after making sure that they parse.
type flagValue struct {
	setting *setting // checks the texts; nil: any text will do
	source  string
	kind    string
	text    string // shown in the help as the default
	texts   []string
}

func (f *flagValue) String() string { return f.text }
func (f *flagValue) Type() string   { return f.kind }

func (f *flagValue) Set(text string) error {
	if f.setting != nil {
		if err := f.setting.set([]string{text}); err != nil {
			return err
		}
	}
	f.text, f.texts = text, append(f.texts, text)
	return nil
}

// given returns what was set, nil for a flag that was not used or does not exist.
func (f *flagValue) given() *given {
	if f == nil || f.texts == nil {
		return nil
	}
	return &given{f.source, f.texts}
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
	listType     = reflect.TypeFor[[]string]()
)

// zeroTexts has every kind of setting, with the text of its default where no tag gives one.
var zeroTexts = map[string]string{"string": "", "bool": "false", "int": "0", "duration": "0", "size": "0", "list": ""}

func kindName(t reflect.Type) string {
	switch t {
	case durationType:
		return "duration"
	case sizeType:
		return "size"
	case listType:
		return "list"
	}
	return t.Kind().String()
}

// set parses texts into the field. Only a list uses more than the last text.
func (s *setting) set(texts []string) error {
	value, err := parse(s.field.Type(), texts)
	if err != nil {
		return err
	}
	s.field.Set(reflect.ValueOf(value))
	return nil
}

func parse(t reflect.Type, texts []string) (any, error) {
	if t == listType {
		return parseList(texts), nil
	}
	text := texts[len(texts)-1]
	switch {
	case t == durationType:
		return parseDuration(text)
	case t == sizeType:
		return ParseSize(text)
	case t.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither true nor false", text)
		}
		return b, nil
	case t.Kind() == reflect.Int:
		n, err := strconv.Atoi(text)
		if errors.Is(err, strconv.ErrRange) {
			return nil, fmt.Errorf("%q is too large", text)
		}
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", text)
		}
		return n, nil
	}
	return text, nil
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration; write a number and a unit, such as 500ms, 30s or 2h", text)
	}
	return d, nil
}

func parseList(texts []string) []string {
	var list []string
	for _, text := range texts {
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
	}
	return list
}
