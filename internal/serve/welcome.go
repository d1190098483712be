package serve

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/internal/front"
	"github.com/millpondkv/millpond/internal/syncfile"
)

// accessToken is what clients must send.
type accessToken struct {
	text string
	made bool // by this program, so the user has to be told
}

const tokenFile = "access-token"

// token returns the access token that was configured; or the one that is kept with the data, made when first needed.
func (c Config) token(e *engine.Engine) (accessToken, error) {
	if c.AccessToken != "" {
		return accessToken{text: c.AccessToken}, nil
	}
	file := filepath.Join(e.Dir(), tokenFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte(newToken() + "\n")
		err = syncfile.Write(file, text)
	}
	if err != nil {
		return accessToken{}, fmt.Errorf("keep the access token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if err := front.CheckToken(token); err != nil || token == "" {
		return accessToken{}, fmt.Errorf("the file %s does not hold an access token; delete it and a new one is made", file)
	}
	return accessToken{text: token, made: true}, nil
}

func newToken() string {
	random := make([]byte, 24)
	rand.Read(random) // never fails
	return base64.RawURLEncoding.EncodeToString(random)
}

// welcome tells a person what to do next.
func welcome(out io.Writer, c Config, addr net.Addr, token accessToken) {
	where := "in " + c.Data + ", synced to disk with every commit"
	if c.Memory {
		where = "in memory only"
	}
	setToken := "Set DENO_KV_ACCESS_TOKEN, where your program runs, to the access token that this server was given,"
	if token.made {
		setToken = "Set the access token where your program runs:\n\n  export DENO_KV_ACCESS_TOKEN=" + token.text + "\n"
	}
	url := "http://" + reachable(addr)
	fmt.Fprintf(out, `Millpond serves Deno KV at %s (data %s).

%s
and connect (deno run -A --unstable-kv hello.ts):

  const kv = await Deno.openKv("%s");
  await kv.set(["users", "alice"], { name: "Alice" });
  console.log((await kv.get(["users", "alice"])).value);

`, url, where, setToken, url)
}

// reachable returns an address that a client on this machine can connect to.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("localhost:%d", tcp.Port)
	}
	return addr.String()
}
