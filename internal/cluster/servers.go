package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Server is what a NATS server says of how it keeps streams.
type Server struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	SyncAlways bool   `json:"syncAlways"` // it syncs a record before it acks it
}

// Servers are the servers of a NATS cluster that have JetStream, as far as they have answered.
type Servers struct {
	Known []Server `json:"known"` // sorted by name
	// Size is how many there are, as those that answered say; 0 if they say nothing of it.
	Size int `json:"size"`
	// Unknown says, in a sentence, why it is not known how all of them sync; empty if that is known.
	Unknown string `json:"unknown,omitempty"`
}

// The request that asks every server. It is for the system account: another account must have it imported.
const pingJetStream = "$SYS.REQ.SERVER.PING.JSZ"

// serversWait bounds how long servers are waited for that do not answer.
const serversWait = time.Second

// askServers asks the servers over NATS, and at the monitoring URLs. It blocks for about twice serversWait at most.
func askServers(ctx context.Context, conn *nats.Conn, monitors []string) Servers {
	all := &answers{byID: map[string]Server{}}
	problem := all.overNATS(ctx, conn)
	if all.complete() || len(monitors) == 0 {
		return all.servers([]string{problem}, false)
	}
	return all.servers(all.atURLs(ctx, monitors), true)
}

// answers gathers what servers say.
type answers struct {
	mu   sync.Mutex
	byID map[string]Server
	size int
}

func (a *answers) add(id string, s Server, size int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byID[id] = s
	a.size = max(a.size, size)
}

func (a *answers) complete() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.byID) > 0 && len(a.byID) >= a.size
}

// jetStreamConfig is the part of a server's configuration that is looked at.
type jetStreamConfig struct {
	SyncAlways bool `json:"sync_always"`
}

type metaCluster struct {
	Size int `json:"cluster_size"`
}

// overNATS returns why the servers cannot be asked this way; nothing if one has answered.
func (a *answers) overNATS(ctx context.Context, conn *nats.Conn) (problem string) {
	ctx, cancel := context.WithTimeout(ctx, serversWait)
	defer cancel()
	inbox := conn.NewInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err == nil {
		defer sub.Unsubscribe()
		err = conn.PublishRequest(pingJetStream, inbox, nil)
	}
	for err == nil && !a.complete() {
		var m *nats.Msg
		if m, err = sub.NextMsgWithContext(ctx); err == nil {
			err = a.takeJSZ(m.Data)
		}
	}
	switch {
	case len(a.byID) > 0:
		return ""
	case errors.Is(err, nats.ErrNoResponders):
		return "this account may not ask them over NATS"
	case errors.Is(err, context.DeadlineExceeded):
		return "none answers over NATS, or this user may not ask"
	}
	return err.Error()
}

func (a *answers) takeJSZ(data []byte) error {
	var answer struct {
		Server struct{ ID, Name, Ver string }
		Data   struct {
			Disabled bool            `json:"disabled"`
			Config   jetStreamConfig `json:"config"`
			Meta     *metaCluster    `json:"meta_cluster"`
		}
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return fmt.Errorf("a server's answer cannot be read: %w", err)
	}
	if answer.Data.Disabled { // it keeps no streams
		return nil
	}
	a.add(answer.Server.ID, Server{answer.Server.Name, answer.Server.Ver, answer.Data.Config.SyncAlways}, size(answer.Data.Meta))
	return nil
}

func size(meta *metaCluster) int {
	if meta == nil { // it is alone
		return 1
	}
	return meta.Size
}

// atURLs asks all URLs at the same time, and returns a sentence for each that does not answer.
func (a *answers) atURLs(ctx context.Context, urls []string) []string {
	ctx, cancel := context.WithTimeout(ctx, serversWait)
	defer cancel()
	problems := make([]string, len(urls))
	var asking sync.WaitGroup
	for i, url := range urls {
		asking.Go(func() {
			if err := a.atURL(ctx, url); err != nil {
				problems[i] = err.Error()
			}
		})
	}
	asking.Wait()
	return problems
}

// mostVarz bounds a server's answer, in bytes.
const mostVarz = 1 << 20

func (a *answers) atURL(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/varz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	var answer struct {
		ID        string `json:"server_id"`
		Name      string `json:"server_name"`
		Version   string `json:"version"`
		JetStream struct {
			Config *jetStreamConfig `json:"config"`
			Meta   *metaCluster     `json:"meta"`
		} `json:"jetstream"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, mostVarz)).Decode(&answer); err != nil || answer.ID == "" {
		return fmt.Errorf("what answers at %s is not the monitoring page of a NATS server", url)
	}
	if c := answer.JetStream.Config; c != nil {
		a.add(answer.ID, Server{answer.Name, answer.Version, c.SyncAlways}, size(answer.JetStream.Meta))
	}
	return nil
}

// servers returns what was learned, and in Unknown what could not be.
func (a *answers) servers(problems []string, monitored bool) Servers {
	s := Servers{Size: a.size, Known: []Server{}}
	for _, server := range a.byID {
		s.Known = append(s.Known, server)
	}
	slices.SortFunc(s.Known, func(x, y Server) int { return cmp.Compare(x.Name, y.Name) })
	why := strings.Join(slices.DeleteFunc(problems, func(p string) bool { return p == "" }), "; ")
	switch {
	case len(s.Known) == 0 && !monitored:
		s.Unknown = "it is not known whether the NATS servers sync every record: " + why +
			"; name their monitoring URLs with --nats-monitor, or let the account import " + pingJetStream + " from the system account"
	case len(s.Known) == 0:
		s.Unknown = "it is not known whether the NATS servers sync every record: " + why
	case len(s.Known) < s.Size:
		s.Unknown = fmt.Sprintf("only %d of the %d NATS servers answered, so it is not known whether the others sync every record", len(s.Known), s.Size)
		if why != "" {
			s.Unknown += ": " + why
		}
	}
	return s
}

// unsafe returns a sentence about the servers that ack records which a power cut can take; none if there are none.
func (s Servers) unsafe() []string {
	var names []string
	for _, server := range s.Known {
		if !server.SyncAlways {
			names = append(names, server.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []string{"acks come before records are on disk, so a power cut loses commits, on the NATS servers " + strings.Join(names, ", ") +
		"; set sync_interval: always in their jetstream blocks and restart them"}
}
