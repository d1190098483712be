//go:build linux

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"

	"github.com/millpondkv/millpond/kv"
	dp "github.com/millpondkv/millpond/kvconnect/datapath"
	"google.golang.org/protobuf/proto"
)

const accessToken = "a-token-for-tests"

// connection speaks KV Connect with one reader. Unlike Deno's client it tries nothing twice, so each call has one outcome.
type connection struct {
	http     *http.Client
	endpoint string // of the data path
	header   http.Header
}

// dial exchanges metadata with a reader that is ready.
func dial(t testing.TB, base string) *connection {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	c := &connection{http: &http.Client{Transport: transport}}
	c.header = http.Header{"Authorization": {"Bearer " + accessToken}, "Content-Type": {"application/json"}}
	var m struct {
		Version    int
		DatabaseID string
		Token      string
	}
	eventually(t, startWait, "metadata of "+base, func() bool {
		status, body, err := c.post(t.Context(), base, []byte(`{"supportedVersions":[3]}`))
		return err == nil && status == http.StatusOK && json.Unmarshal(body, &m) == nil
	})
	c.endpoint = base + "/" + kvDefault
	c.header = http.Header{
		"Authorization":        {"Bearer " + m.Token},
		"X-Denokv-Version":     {strconv.Itoa(m.Version)},
		"X-Denokv-Database-Id": {m.DatabaseID},
		"Content-Type":         {"application/x-protobuf"},
	}
	return c
}

// kvDefault is the database of an empty path.
const kvDefault = "default"

func (c *connection) post(ctx context.Context, url string, body []byte) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header = c.header.Clone()
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// errUnexpected is an answer that no fault accounts for.
var errUnexpected = errors.New("unexpected answer")

// call returns an error of kv's catalogue that says what is known of the outcome.
func (c *connection) call(ctx context.Context, endpoint string, in, out proto.Message) error {
	body, err := proto.Marshal(in)
	if err != nil {
		return err
	}
	status, answer, err := c.post(ctx, c.endpoint+"/"+endpoint, body)
	var dialing *net.OpError
	switch {
	case errors.As(err, &dialing) && dialing.Op == "dial":
		return fmt.Errorf("%w: %w", kv.ErrUnavailable, err)
	case err != nil:
		return fmt.Errorf("%w: %w", kv.ErrUnknownOutcome, err)
	case status == http.StatusOK:
		return proto.Unmarshal(answer, out)
	case len(answer) == 0:
		return fmt.Errorf("%w: status %d without a sentence", errUnexpected, status)
	}
	for known, kind := range map[int]error{
		http.StatusBadRequest: kv.ErrInvalid, http.StatusServiceUnavailable: kv.ErrUnavailable, http.StatusConflict: kv.ErrUnknownOutcome,
	} {
		if status == known {
			return fmt.Errorf("%w: %s", kind, answer)
		}
	}
	return fmt.Errorf("%w: status %d: %s", errUnexpected, status, answer)
}

func (c *connection) commit(ctx context.Context, a *kv.Atomic) (kv.CommitResult, error) {
	in, out := new(dp.AtomicWrite), new(dp.AtomicWriteOutput)
	for _, check := range a.Checks {
		sent := &dp.Check{Key: []byte(check.Key)}
		if check.Versionstamp != nil {
			sent.Versionstamp = check.Versionstamp[:]
		}
		in.Checks = append(in.Checks, sent)
	}
	for _, m := range a.Mutations {
		sent := &dp.Mutation{Key: []byte(m.Key), MutationType: mutationTypes[m.Type]}
		if m.Type != kv.MutationDelete {
			sent.Value = &dp.KvValue{Data: m.Value.Data, Encoding: dp.ValueEncoding(m.Value.Encoding)}
		}
		in.Mutations = append(in.Mutations, sent)
	}
	if err := c.call(ctx, "atomic_write", in, out); err != nil {
		return kv.CommitResult{}, err
	}
	switch out.Status {
	case dp.AtomicWriteStatus_AW_SUCCESS:
		return kv.CommitResult{Versionstamp: kv.Versionstamp(out.Versionstamp)}, nil
	case dp.AtomicWriteStatus_AW_CHECK_FAILURE:
		result := kv.CommitResult{}
		for _, i := range out.FailedChecks {
			result.FailedChecks = append(result.FailedChecks, int(i))
		}
		return result, nil
	case dp.AtomicWriteStatus_AW_WRITE_DISABLED:
		return kv.CommitResult{}, kv.ErrWritesDisabled
	}
	return kv.CommitResult{}, fmt.Errorf("%w: %v", errUnexpected, out)
}

var mutationTypes = map[kv.MutationType]dp.MutationType{
	kv.MutationSet: dp.MutationType_M_SET, kv.MutationDelete: dp.MutationType_M_DELETE, kv.MutationSum: dp.MutationType_M_SUM,
}

func (c *connection) read(ctx context.Context, r kv.Range) ([]kv.Entry, error) {
	out := new(dp.SnapshotReadOutput)
	in := &dp.SnapshotRead{Ranges: []*dp.ReadRange{{Start: []byte(r.Start), End: []byte(r.End), Limit: int32(r.Limit)}}}
	if err := c.call(ctx, "snapshot_read", in, out); err != nil {
		return nil, err
	}
	if out.Status != dp.SnapshotReadStatus_SR_SUCCESS || !out.ReadIsStronglyConsistent || len(out.Ranges) != 1 {
		return nil, fmt.Errorf("%w: %v", errUnexpected, out)
	}
	var entries []kv.Entry
	for _, e := range out.Ranges[0].Values {
		entries = append(entries, kv.Entry{
			Key: kv.EncodedKey(e.Key), Versionstamp: kv.Versionstamp(e.Versionstamp),
			Value: kv.Value{Encoding: kv.Encoding(e.Encoding), Data: e.Value},
		})
	}
	return entries, nil
}
