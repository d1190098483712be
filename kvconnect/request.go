package kvconnect

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/millpondkv/millpond/kv"
)

// maxBodySize bounds every request's body, in bytes, as in denokv. The largest atomic write is about half of it.
const maxBodySize = 2 << 20

// firstBodySize bounds what is allocated for a body before any of it has come.
const firstBodySize = 64 << 10

// readBody returns the whole body of r, or a failure with 413 if it is larger than maxBodySize.
func readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBodySize {
		return nil, errBodyTooLarge(r.ContentLength)
	}
	size := int64(512)
	if r.ContentLength >= 0 {
		size = r.ContentLength
	}
	b := make([]byte, 0, min(size, firstBodySize)+1) // 1: to see the end without growing
	for {
		n, err := r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case len(b) > maxBodySize:
			return nil, errBodyTooLarge(int64(len(b)))
		case err == io.EOF:
			return b, nil
		case err != nil:
			return nil, kv.Invalidf("the request body ended before it was whole")
		case len(b) == cap(b):
			b = append(b, 0)[:len(b)]
		}
	}
}

func errBodyTooLarge(size int64) error {
	return failure(http.StatusRequestEntityTooLarge, "the request body has %d bytes or more; at most %d are allowed", size, maxBodySize)
}

// receive returns what every data path request brings: the id that its client expects the database to have, and its
// body. The body is read only once the headers are good.
func (s *Server) receive(r *http.Request) (id string, body []byte, err error) {
	if id, err = s.authorize(r); err != nil {
		return "", nil, err
	}
	body, err = readBody(r)
	return id, body, err
}

// authorize checks the headers, in denokv's order: version, token, database id. It returns the id.
func (s *Server) authorize(r *http.Request) (id string, err error) {
	idHeader, err := versionHeader(r)
	if err != nil {
		return "", err
	}
	if err := s.tokens.checkDataPath(r, s.config.Now()); err != nil {
		return "", err
	}
	id = r.Header.Get(idHeader)
	if !isUUID(id) {
		return "", kv.Invalidf("the header %s is not a database id; send the UUID from the metadata", strings.ToLower(idHeader))
	}
	return id, nil
}

// database returns the database of a data path request. It creates none: who comes here has metadata, so the database was
// there. If it is not any more, or was made anew under the same name, the answer is 403, so that Deno fetches new metadata
// and goes on.
func (s *Server) database(ctx context.Context, name, id string) (Database, error) {
	db, err := s.config.Databases.Database(ctx, name, false)
	if errors.Is(err, kv.ErrNoDatabase) {
		return nil, failure(http.StatusForbidden, "there is no database %q, or no longer; exchange metadata again", name)
	}
	if err != nil {
		return nil, late(ctx, err)
	}
	if !strings.EqualFold(id, db.ID()) {
		return nil, failure(http.StatusForbidden,
			"the id of the database %q is not, or no longer, %s; exchange metadata again", name, id)
	}
	return db, nil
}

// versionHeader checks the protocol version of a data path request and returns the header that has the database id.
func versionHeader(r *http.Request) (idHeader string, err error) {
	switch v := r.Header.Get("X-Denokv-Version"); v {
	case "2", "3":
		return "X-Denokv-Database-Id", nil
	case "", "1":
		return "X-Transaction-Domain-Id", nil
	default:
		return "", kv.Invalidf("the protocol version %.20q in x-denokv-version is unknown; use 2 or 3", v)
	}
}

func isUUID(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return len(s) == 36
}

// late makes the end of the request's own time kv.ErrUnavailable. It is not for atomic writes.
func late(ctx context.Context, err error) error {
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return kv.Errorf(kv.ErrUnavailable, "the database took too long to answer; try again")
	}
	return err
}
