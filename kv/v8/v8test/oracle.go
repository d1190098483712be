package v8test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// Engine is a JavaScript runtime that tests compare with.
type Engine struct {
	Command []string
	Float16 bool // it knows Float16Array
}

// Questions for an engine's V8.
type Questions struct {
	Decode   []string          `json:"decode"`   // values in hex
	Encode   []json.RawMessage `json:"encode"`   // descriptions
	Store    []json.RawMessage `json:"store"`    // descriptions
	Evaluate []string          `json:"evaluate"` // JavaScript
	Write    []string          `json:"write"`    // JavaScript
}

// Answers are in the order of the questions. Each is {"error": …} if the engine threw one.
type Answers struct {
	Version   string            `json:"version"`   // of V8
	Decoded   []json.RawMessage `json:"decoded"`   // descriptions
	Encoded   []json.RawMessage `json:"encoded"`   // hex
	Stored    []json.RawMessage `json:"stored"`    // hex, as Deno KV's client for the runtime writes values
	Evaluated []json.RawMessage `json:"evaluated"` // descriptions
	Written   []json.RawMessage `json:"written"`   // hex, as stored
}

// Node returns the node on the PATH. The test fails if there is none.
func Node(t *testing.T) Engine {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("these tests compare with the V8 of Node: install Node 20 or later")
	}
	return Engine{Command: []string{node}}
}

// Deno returns the deno that the environment variable MILLPOND_DENO names. The test is skipped if there is none, and fails
// if CI or MILLPOND_STRICT is set.
func Deno(t *testing.T) Engine {
	t.Helper()
	deno := os.Getenv("MILLPOND_DENO")
	if deno == "" {
		const missing = "NOT COMPARED WITH DENO: set MILLPOND_DENO to the path of a deno binary, or run make test"
		if os.Getenv("CI") != "" || os.Getenv("MILLPOND_STRICT") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	return Engine{Command: []string{deno, "run", "--allow-all", "--no-config"}, Float16: true}
}

// Ask runs script, which is testdata/oracle.mjs of package v8, once for all questions.
func (e Engine) Ask(t *testing.T, script string, questions Questions) Answers {
	t.Helper()
	if _, err := os.ReadFile(script); err != nil { // reading it lets go test see when it changes
		t.Fatal(err)
	}
	questions.Decode = append([]string{}, questions.Decode...) // [] rather than null
	questions.Encode = append([]json.RawMessage{}, questions.Encode...)
	questions.Store = append([]json.RawMessage{}, questions.Store...)
	questions.Evaluate = append([]string{}, questions.Evaluate...)
	questions.Write = append([]string{}, questions.Write...)
	input, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), e.Command[0], append(e.Command[1:], script)...)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", e.Command, err, stderr.Bytes())
	}
	var answers Answers
	if err := json.Unmarshal(output, &answers); err != nil {
		t.Fatalf("%v: %v\n%s", e.Command, err, stderr.Bytes())
	}
	return answers
}
