package v8_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/v8test"
)

const oracleScript = "testdata/oracle.mjs"

// Real engines must read what Encode writes, and Decode must read what they write, for values of every type.

func TestNode(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("these tests compare with the V8 of Node: install Node 20 or later")
	}
	compareWithEngine(t, false, node, oracleScript)
}

func TestDeno(t *testing.T) {
	compareWithEngine(t, true, denoPath(t), "run", "--allow-all", "--no-config", oracleScript)
}

// denoPath returns the path of the Deno that `make test` installs.
func denoPath(t *testing.T) string {
	t.Helper()
	deno := os.Getenv("MILLPOND_DENO")
	if deno != "" {
		return deno
	}
	const missing = "NOT COMPARED WITH DENO: set MILLPOND_DENO to the path of a deno binary, or run make test"
	if os.Getenv("CI") != "" || os.Getenv("MILLPOND_STRICT") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

type oracleRequest struct {
	Decode []string          `json:"decode"`
	Encode []json.RawMessage `json:"encode"`
}

type oracleAnswer struct {
	Version string            `json:"version"`
	Decoded []json.RawMessage `json:"decoded"` // a description or {"error": …}
	Encoded []json.RawMessage `json:"encoded"` // hex or {"error": …}
}

func askOracle(t *testing.T, request oracleRequest, command ...string) oracleAnswer {
	t.Helper()
	if _, err := os.ReadFile(oracleScript); err != nil { // reading it lets go test see when it changes
		t.Fatal(err)
	}
	input, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, stderr.Bytes())
	}
	var answer oracleAnswer
	if err := json.Unmarshal(output, &answer); err != nil {
		t.Fatalf("%v: %v\n%s", command, err, stderr.Bytes())
	}
	return answer
}

func compareWithEngine(t *testing.T, float16 bool, command ...string) {
	const seed, count = 1, 3000
	g := v8test.Generator{Rand: rand.New(rand.NewPCG(seed, 0)), Float16: float16}
	var request oracleRequest
	var want []string
	for range count {
		v := g.Value(4)
		want = append(want, v8test.Describe(v))
		request.Decode = append(request.Decode, hex.EncodeToString(encode(t, v)))
		request.Encode = append(request.Encode, json.RawMessage(v8test.Describe(v)))
	}

	answer := askOracle(t, request, command...)
	t.Logf("compared %d values with V8 %s", count, answer.Version)

	same := 0
	for i := range count {
		if diff := cmp.Diff(want[i], string(answer.Decoded[i])); diff != "" {
			t.Errorf("value %d: the engine reads %s otherwise (-want +got):\n%s", i, request.Decode[i], diff)
		}
		var written string
		if err := json.Unmarshal(answer.Encoded[i], &written); err != nil {
			t.Errorf("value %d: the engine cannot write %s: %s", i, want[i], answer.Encoded[i])
			continue
		}
		v, err := v8.Decode(unhex(t, written))
		if err != nil {
			t.Errorf("value %d: Decode fails on %s, the engine's form of %s: %v", i, written, want[i], err)
			continue
		}
		if diff := cmp.Diff(want[i], v8test.Describe(v)); diff != "" {
			t.Errorf("value %d: Decode reads %s otherwise (-want +got):\n%s", i, written, diff)
		}
		if hex.EncodeToString(v8.Relabel(unhex(t, written))) == request.Decode[i] {
			same++
		}
	}
	t.Logf("%d of them have the same bytes", same)
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	data, err := v8.Encode(v)
	if err != nil {
		t.Fatalf("encode %s: %v", v8test.Describe(v), err)
	}
	return data
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
