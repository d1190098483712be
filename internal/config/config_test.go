package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// shared is what several commands would embed.
type shared struct {
	Token string `config:"access-token" env:"DENO_KV_ACCESS_TOKEN,OLD_TOKEN" secret:"true" help:"the token"`
}

type settings struct {
	shared
	Addr    string        `config:"addr" default:"127.0.0.1:4512" help:"listen here" tradeoff:"others can reach 0.0.0.0"`
	Memory  bool          `config:"memory" help:"keep no data"`
	Create  bool          `config:"create" default:"true" help:"create databases"`
	Workers int           `config:"workers" default:"4" help:"how many"`
	Lease   time.Duration `config:"lease" default:"2s" help:"how long"`
	Record  Size          `config:"record-size" default:"900KB" help:"how large"`
	Peers   []string      `config:"peers" default:"a,b" help:"who else"`
	Other   int           // no setting, because it has no tag
}

func defaults() settings {
	return settings{Addr: "127.0.0.1:4512", Create: true, Workers: 4, Lease: 2 * time.Second, Record: 900_000, Peers: []string{"a", "b"}}
}

// load runs Bind and Load as a command would. file is the content of the config file, which args can name as $FILE.
func load(t *testing.T, args []string, env map[string]string, file string) (settings, *Loader, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "millpond.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	var cfg settings
	loader := Bind(fs, &cfg)
	args = slices.Clone(args)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "$FILE", path)
	}
	if err := fs.Parse(args); err != nil {
		return cfg, loader, err
	}
	err := loader.Load(func(name string) (string, bool) {
		text, ok := env[name]
		return strings.ReplaceAll(text, "$FILE", path), ok
	})
	return cfg, loader, err
}

// Each source overrides those after it: flag, variable, aliases in order, file, default.
func TestPrecedence(t *testing.T) {
	const file = "addr: file\n"
	tests := []struct {
		name       string
		args       []string
		env        map[string]string
		file       string
		addr, from string
	}{
		{"default", nil, nil, "", "127.0.0.1:4512", "default"},
		{"file", []string{"--config=$FILE"}, nil, file, "file", "millpond.yaml line 1"},
		{"file named by a variable", nil, map[string]string{"MILLPOND_CONFIG": "$FILE"}, file, "file", "millpond.yaml line 1"},
		{"variable", []string{"--config=$FILE"}, map[string]string{"MILLPOND_ADDR": "env"}, file, "env", "environment variable MILLPOND_ADDR"},
		{"empty variable", nil, map[string]string{"MILLPOND_ADDR": ""}, "", "127.0.0.1:4512", "default"},
		{"flag", []string{"--config=$FILE", "--addr=flag"}, map[string]string{"MILLPOND_ADDR": "env"}, file, "flag", "flag --addr"},
		{"empty flag", []string{"--addr="}, map[string]string{"MILLPOND_ADDR": "env"}, "", "", "flag --addr"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, loader, err := load(t, test.args, test.env, test.file)
			if err != nil {
				t.Fatal(err)
			}
			if got.Addr != test.addr || loader.Source("addr") != test.from {
				t.Errorf("addr = %q from %q, want %q from %q", got.Addr, loader.Source("addr"), test.addr, test.from)
			}
		})
	}
}

// Every type can be written in every source.
func TestTypes(t *testing.T) {
	want := settings{
		shared: shared{Token: "secret"}, Addr: "x", Memory: true, Create: false,
		Workers: 7, Lease: 1500 * time.Millisecond, Record: 1 << 20, Peers: []string{"c", "d"},
	}
	tests := []struct {
		name string
		args []string
		env  map[string]string
		file string
	}{
		{"flags", []string{"--access-token=secret", "--addr=x", "--memory", "--create=false", "--workers=7", "--lease=1.5s",
			"--record-size=1MiB", "--peers=c", "--peers=d"}, nil, ""},
		{"environment", nil, map[string]string{"MILLPOND_ACCESS_TOKEN": "secret", "MILLPOND_ADDR": "x", "MILLPOND_MEMORY": "1",
			"MILLPOND_CREATE": "false", "MILLPOND_WORKERS": "7", "MILLPOND_LEASE": "1500ms", "MILLPOND_RECORD_SIZE": "1048576",
			"MILLPOND_PEERS": "c, d"}, ""},
		{"file", []string{"--config=$FILE"}, nil, "access-token: secret\naddr: x\nmemory: true\ncreate: false\nworkers: 7\n" +
			"lease: 1.5s\nrecord-size: 1024 KiB\npeers: [c, d]\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, _, err := load(t, test.args, test.env, test.file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(settings{}, shared{})); diff != "" {
				t.Error("settings (-want +got):\n" + diff)
			}
		})
	}
	t.Run("defaults", func(t *testing.T) {
		got, _, err := load(t, []string{"--config=$FILE"}, nil, "# nothing\n")
		if diff := cmp.Diff(defaults(), got, cmp.AllowUnexported(settings{}, shared{})); diff != "" || err != nil {
			t.Error(err, "settings (-want +got):\n"+diff)
		}
	})
	t.Run("an empty list is a list", func(t *testing.T) {
		got, _, err := load(t, []string{"--config=$FILE"}, nil, "peers: []\n")
		if err != nil || len(got.Peers) != 0 {
			t.Errorf("peers = %q, %v, want none", got.Peers, err)
		}
	})
}

// A secret may be kept in a file, which each source can name.
func TestSecret(t *testing.T) {
	tests := []struct {
		name string
		args []string
		env  map[string]string
		want string
	}{
		{"flag", []string{"--access-token-file=$FILE"}, nil, "from file"},
		{"variable", nil, map[string]string{"MILLPOND_ACCESS_TOKEN_FILE": "$FILE"}, "from file"},
		{"alias", nil, map[string]string{"DENO_KV_ACCESS_TOKEN_FILE": "$FILE"}, "from file"},
		{"the first alias decides", nil, map[string]string{"OLD_TOKEN": "old", "DENO_KV_ACCESS_TOKEN": "new"}, "new"},
		{"flag over variable", []string{"--access-token-file=$FILE"}, map[string]string{"MILLPOND_ACCESS_TOKEN": "env"}, "from file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, _, err := load(t, test.args, test.env, "from file\r\n")
			if err != nil || got.Token != test.want {
				t.Errorf("token = %q, %v, want %q", got.Token, err, test.want)
			}
		})
	}
	t.Run("config file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte("from file\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		got, _, err := load(t, []string{"--config=$FILE"}, nil, "access-token-file: "+path+"\n")
		if err != nil || got.Token != "from file" {
			t.Errorf("token = %q, %v", got.Token, err)
		}
	})
}

// An error says which source has the bad value, and what would be good.
func TestErrors(t *testing.T) {
	useFile := []string{"--config=$FILE"}
	tests := []struct {
		name string
		args []string
		env  map[string]string
		file string
		want string // the error contains it
	}{
		{"flag", []string{"--workers=many"}, nil, "", `invalid argument "many" for "--workers" flag: "many" is not a whole number`},
		{"variable", nil, map[string]string{"MILLPOND_WORKERS": "many"}, "",
			`workers (from environment variable MILLPOND_WORKERS): "many" is not a whole number`},
		{"file", useFile, nil, "\nlease: 5\n", `lease (from millpond.yaml line 2): "5" is not a duration; write a number and a unit`},
		{"bool", nil, map[string]string{"MILLPOND_MEMORY": "yes"}, "", `"yes" is neither true nor false`},
		{"size", nil, map[string]string{"MILLPOND_RECORD_SIZE": "-1KB"}, "", `"-1KB" is not a size`},
		{"large int", nil, map[string]string{"MILLPOND_WORKERS": "99999999999999999999"}, "", "too large"},
		{"unknown key", useFile, nil, "addr: x\nadr: y\n", `millpond.yaml line 2: there is no setting "adr"`},
		{"the file names a file", useFile, nil, "config: y\n", `millpond.yaml line 1: there is no setting "config"`},
		{"key twice", useFile, nil, "addr: x\naddr: y\n", "line 2: addr was set before, at millpond.yaml line 1"},
		{"no value", useFile, nil, "addr:\n", "millpond.yaml line 1: addr has no value"},
		{"a list for one value", useFile, nil, "addr: [x]\n", "line 1: addr must be one plain value"},
		{"a mapping for a list", useFile, nil, "peers: {a: b}\n", "line 1: peers must be a list"},
		{"a list of lists", useFile, nil, "peers: [[a]]\n", "line 1: peers is a list of something else"},
		{"not a mapping", useFile, nil, "- addr\n", `millpond.yaml line 1: the file must be a list of lines "setting: value"`},
		{"not YAML", useFile, nil, "addr: \"x\n", "config file"},
		{"no such file", []string{"--config=/nowhere/x.yaml"}, nil, "", "open the config file that flag --config names"},
		{"no such secret", nil, map[string]string{"MILLPOND_ACCESS_TOKEN_FILE": "/nowhere/t"}, "",
			"access-token: read the file that environment variable MILLPOND_ACCESS_TOKEN_FILE names"},
		{"empty secret", []string{"--access-token-file=$FILE"}, nil, "\n", "that flag --access-token-file names is empty"},
		{"secret twice", []string{"--access-token-file=$FILE", "--access-token=x"}, nil, "",
			"access-token is given by flag --access-token and by flag --access-token-file; use one of them"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := load(t, test.args, test.env, test.file)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want one with %q", err, test.want)
			}
		})
	}
}

// The help names each setting with its default, its trade-off and its variables.
func TestHelp(t *testing.T) {
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	Bind(fs, &settings{})
	usage := fs.FlagUsages()
	for _, want := range []string{
		"--addr string", "listen here; others can reach 0.0.0.0 [MILLPOND_ADDR] (default \"127.0.0.1:4512\")",
		"[MILLPOND_ACCESS_TOKEN, DENO_KV_ACCESS_TOKEN, OLD_TOKEN]", "--access-token-file file", "--lease duration", "(default 2s)", "--config file",
	} {
		if !strings.Contains(usage, want) {
			t.Errorf("usage has no %q:\n%s", want, usage)
		}
	}
}

// A mistake in the struct is a panic, so that the first run of the command shows it.
func TestBindPanics(t *testing.T) {
	for name, cfg := range map[string]any{
		"bad default": &struct {
			N int `config:"n" default:"x"`
		}{},
		"type": &struct {
			N chan int `config:"n"`
		}{},
		"name twice": &struct {
			A int `config:"n"`
			B int `config:"n"`
		}{},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("Bind did not panic")
				}
			}()
			Bind(pflag.NewFlagSet("test", pflag.ContinueOnError), cfg)
		})
	}
}

func TestSize(t *testing.T) {
	tests := []struct {
		text  string
		size  Size
		shown string
	}{
		{"0", 0, "0B"}, {"17", 17, "17B"}, {"17b", 17, "17B"}, {"900KB", 900_000, "900KB"}, {"64 mib", 64 << 20, "64MiB"},
		{"2GiB", 2 << 30, "2GiB"}, {"1024KiB", 1 << 20, "1MiB"}, {"3TB", 3e12, "3TB"}, {"1TiB", 1 << 40, "1TiB"},
	}
	for _, test := range tests {
		got, err := ParseSize(test.text)
		if err != nil || got != test.size || got.String() != test.shown {
			t.Errorf("ParseSize(%q) = %d (%s), %v, want %d (%s)", test.text, got, got, err, test.size, test.shown)
		}
	}
	for _, text := range []string{"", "KB", "1.5MB", "-1", "1 PB", "9999999TiB", "1KBB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

// A preset comes right behind the flags; what it has for other commands is passed over.
func TestPreset(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	var cfg settings
	loader := Bind(fs, &cfg)
	if err := fs.Parse([]string{"--workers", "5"}); err != nil {
		t.Fatal(err)
	}
	loader.Use(Preset{Source: "context prod", Values: map[string]string{
		"workers": "6", "addr": "preset:1", "access-token-file": secret, "of another command": "x",
	}})
	env := map[string]string{"MILLPOND_ADDR": "env:1", "MILLPOND_LEASE": "9s", "DENO_KV_ACCESS_TOKEN": "from the environment"}
	err := loader.Load(func(name string) (string, bool) { text, ok := env[name]; return text, ok })
	want := defaults()
	want.Workers, want.Addr, want.Lease, want.Token = 5, "preset:1", 9*time.Second, "from a file"
	if diff := cmp.Diff(want, cfg, cmp.AllowUnexported(settings{})); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if got, want := loader.Source("access-token"), "context prod, file "+secret; got != want {
		t.Errorf("the token is said to come from %s, want %s", got, want)
	}
	loader.Use(Preset{Source: "context prod", Values: map[string]string{"lease": "soon"}})
	if err := loader.Load(os.LookupEnv); err == nil || !strings.Contains(err.Error(), `lease (from context prod): "soon" is not a duration`) {
		t.Errorf("got %v", err)
	}
}
