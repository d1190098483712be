package kvconnect

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/millpondkv/millpond/kv"
)

const (
	// tokenLife is how long a client may use its metadata. Deno and Node compare its end with their own clocks, and Deno
	// asks again without a pause if it lies in the past, so it is far beyond any skew.
	tokenLife = 24 * time.Hour
	// tokenGrace is how much longer the token is taken: Node sends its old token once more while it fetches the next.
	tokenGrace = time.Hour
)

// tokens makes and checks the tokens of the data path. They are stateless: a version byte, the Unix second of the expiry
// (8 bytes, big-endian) and the HMAC-SHA256 of both, in unpadded base64url.
type tokens struct {
	access [sha256.Size]byte // the hash of the access token: comparing hashes tells nothing of its length either
	macs   sync.Pool         // of hash.Hash: HMACs with the key, derived from the access token; setting one up costs more than using it
}

const (
	tokenVersion  = 1
	tokenBodySize = 1 + 8
	tokenSize     = tokenBodySize + sha256.Size
)

func newTokens(accessToken string) *tokens {
	mac := hmac.New(sha256.New, []byte(accessToken))
	mac.Write([]byte("millpond kv connect data path"))
	key := mac.Sum(nil)
	return &tokens{
		access: sha256.Sum256([]byte(accessToken)),
		macs:   sync.Pool{New: func() any { return hmac.New(sha256.New, key) }},
	}
}

// issue returns a token and the time to tell its client that it expires.
func (t *tokens) issue(now time.Time) (token string, expiresAt time.Time) {
	expiresAt = now.Add(tokenLife)
	b := make([]byte, 0, tokenSize)
	b = append(b, tokenVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(expiresAt.Add(tokenGrace).Unix()))
	return base64.RawURLEncoding.EncodeToString(t.sign(b)), expiresAt
}

// checkAccess fails with kv.ErrUnauthorized if the request does not carry the access token.
func (t *tokens) checkAccess(r *http.Request) error {
	token, err := bearer(r)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(sum[:], t.access[:]) != 1 {
		return kv.Errorf(kv.ErrUnauthorized, "the access token is wrong; DENO_KV_ACCESS_TOKEN must be the server's")
	}
	return nil
}

// checkDataPath fails with kv.ErrUnauthorized if the request does not carry a token that was issued and still holds.
func (t *tokens) checkDataPath(r *http.Request, now time.Time) error {
	token, err := bearer(r)
	if err != nil {
		return err
	}
	b, err := base64.RawURLEncoding.AppendDecode(make([]byte, 0, 2*tokenSize), []byte(token))
	if err != nil || len(b) != tokenSize || b[0] != tokenVersion || !hmac.Equal(t.sign(b[:tokenBodySize:tokenBodySize]), b) {
		return kv.Errorf(kv.ErrUnauthorized, "the token is not one of this server's; exchange metadata for a new one")
	}
	if expiry := binary.BigEndian.Uint64(b[1:tokenBodySize]); uint64(now.Unix()) >= expiry {
		return kv.Errorf(kv.ErrUnauthorized, "the token has expired; exchange metadata for a new one")
	}
	return nil
}

// sign appends the MAC of b to it.
func (t *tokens) sign(b []byte) []byte {
	mac := t.macs.Get().(hash.Hash)
	defer t.macs.Put(mac)
	mac.Reset()
	mac.Write(b)
	return mac.Sum(b)
}

// bearer returns the token in the request's Authorization header.
func bearer(r *http.Request) (string, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", kv.Errorf(kv.ErrUnauthorized, "the access token is missing; set DENO_KV_ACCESS_TOKEN where the program runs (it is sent as \"Authorization: Bearer <token>\")")
	}
	return token, nil
}
