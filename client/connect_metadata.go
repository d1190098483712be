package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// metadata is the answer to a metadata exchange.
type metadata struct {
	Version    int       `json:"version"`
	DatabaseID string    `json:"databaseId"`
	Token      string    `json:"token"`
	ExpiresAt  time.Time `json:"expiresAt"`
	Endpoints  []struct {
		URL         string `json:"url"`
		Consistency string `json:"consistency"`
	} `json:"endpoints"`
}

var uuid = regexp.MustCompile(`(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// exchange makes a new session. The caller holds c.renewing.
func (c *connection) exchange(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, metadataTimeout, errors.New("no answer in time"))
	defer cancel()
	accessToken, err := c.tokens(ctx)
	if err != nil {
		return nil, fmt.Errorf("get the access token: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), strings.NewReader(`{"supportedVersions":[2,3]}`))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if accessToken != "" {
		req.Header.Set("Authorization", "Bearer "+accessToken)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &c.refused(resp).failure
	}
	body, err := readAll(resp.Body, maxMetadata)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	var m metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, &failure{message: "the answer of " + c.url.Redacted() + " is not that of a KV Connect server; is the URL right?", cause: err}
	}
	s, err := m.session(resp.Request.URL, c.now())
	if err != nil {
		return nil, &failure{message: "the answer of " + c.url.Redacted() + " is not that of a KV Connect server", cause: err}
	}
	s.expiry = resp.Header.Get(expiryHeader) != ""
	return s, nil
}

// session checks m, which came from the URL base at the time now.
func (m *metadata) session(base *url.URL, now time.Time) (*session, error) {
	if m.Version != 2 && m.Version != 3 {
		return nil, fmt.Errorf("it speaks protocol version %d, not 2 or 3", m.Version)
	}
	if !uuid.MatchString(m.DatabaseID) {
		return nil, fmt.Errorf("the database id %q is not a UUID", m.DatabaseID)
	}
	if m.Token == "" {
		return nil, errors.New("it has no token")
	}
	for _, e := range m.Endpoints {
		if e.Consistency != "strong" {
			continue
		}
		endpoint, err := base.Parse(e.URL)
		if err != nil {
			return nil, fmt.Errorf("the endpoint %q is not a URL", e.URL)
		}
		return &session{
			endpoint:   strings.TrimRight(endpoint.String(), "/"),
			token:      m.Token,
			databaseID: m.DatabaseID,
			version:    m.Version,
			renewAt:    renewalTime(now, m.ExpiresAt),
		}, nil
	}
	return nil, errors.New("it names no endpoint for strong reads")
}

// renewalTime is renewBefore the expiry, or at half time if that comes first, but never sooner than renewAtMost: a server
// whose clock is behind must not be asked before every call.
func renewalTime(now, expiry time.Time) time.Time {
	life := expiry.Sub(now)
	return now.Add(max(life-renewBefore, min(life/2, renewBefore), renewAtMost))
}

// readAll reads to the end, or fails if there are more than limit bytes.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		return nil, fmt.Errorf("the answer is larger than %d bytes", limit)
	}
	return b, err
}
