package kvconnect

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// metadataRequest is the body of a metadata exchange. None at all means version 1.
type metadataRequest struct {
	SupportedVersions []int64 `json:"supportedVersions"`
}

// metadataReply is the answer. Node's client refuses it if it has any other field.
type metadataReply struct {
	Version    int64              `json:"version"`
	DatabaseID string             `json:"databaseId"`
	Endpoints  []metadataEndpoint `json:"endpoints"`
	Token      string             `json:"token"`
	ExpiresAt  string             `json:"expiresAt"` // RFC 3339, in UTC with a Z: Node takes no other form
}

type metadataEndpoint struct {
	URL         string `json:"url"` // without a slash at the end
	Consistency string `json:"consistency"`
}

// metadata answers POST / and POST /<name>: where and how a client finds the database, which is created if need be.
func (s *Server) metadata(w *reply, r *http.Request, name string) error {
	if err := s.tokens.checkAccess(r); err != nil {
		return err
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	version, err := negotiate(body)
	if err != nil {
		return err
	}
	url := dataPath(r.URL.Path, name)
	if version == 1 {
		if url, err = s.absoluteURL(r, name); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.config.RequestTimeout)
	defer cancel()
	db, err := s.config.Databases.Database(ctx, name, true)
	if err != nil {
		return late(ctx, err)
	}
	token, expiresAt := s.tokens.issue(s.config.Now())
	out, err := json.Marshal(metadataReply{
		Version:    version,
		DatabaseID: db.ID(),
		Endpoints:  s.endpoints(url),
		Token:      token,
		ExpiresAt:  expiresAt.UTC().Format(time.RFC3339),
	})
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json") // exactly: Node takes no charset
	h.Set("Content-Length", strconv.Itoa(len(out)))
	h.Set(expiryHeader, "1")
	w.Write(out)
	return nil
}

// endpoints lists the ways to a database. Deno uses the first strong one for everything; Node and Python turn with eventual
// reads, and Node with watches, to the eventual one.
func (s *Server) endpoints(url string) []metadataEndpoint {
	list := []metadataEndpoint{{URL: url, Consistency: "strong"}}
	if s.config.Eventual {
		list = append(list, metadataEndpoint{URL: url + "/" + eventualPath, Consistency: "eventual"})
	}
	return list
}

// negotiate returns the highest protocol version that both sides know.
func negotiate(body []byte) (int64, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return 1, nil
	}
	var request metadataRequest
	if err := json.Unmarshal(body, &request); err != nil || request.SupportedVersions == nil {
		return 0, kv.Invalidf("the metadata request is malformed; send JSON like {\"supportedVersions\": [1, 2, 3]}")
	}
	best := int64(0)
	for _, v := range request.SupportedVersions {
		if v >= 1 && v <= 3 {
			best = max(best, v)
		}
	}
	if best == 0 {
		return 0, kv.Invalidf("no protocol version in common: the server knows 1, 2 and 3")
	}
	return best, nil
}

// absoluteURL returns the data path of a database as version 1 wants it: with the scheme and host that the client used.
func (s *Server) absoluteURL(r *http.Request, name string) (string, error) {
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if s.config.TrustForwarded {
		if proto := forwarded(r, "X-Forwarded-Proto"); proto == "http" || proto == "https" {
			scheme = proto
		}
		if h := forwarded(r, "X-Forwarded-Host"); h != "" {
			host = h
		}
	}
	if host == "" || strings.ContainsAny(host, "/?#@\\ ") {
		return "", kv.Invalidf("protocol version 1 needs a Host header that names this server")
	}
	return scheme + "://" + host + "/" + name, nil
}

// forwarded returns what the proxy nearest to the client put into a header that each proxy may append to.
func forwarded(r *http.Request, header string) string {
	first, _, _ := strings.Cut(r.Header.Get(header), ",")
	return strings.TrimSpace(first)
}
