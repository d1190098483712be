package kvconnect

import (
	"net/http"
	"strings"

	"github.com/millpondkv/millpond/kv"
)

// DefaultDatabase is the name of the database at the root of the server.
const DefaultDatabase = "default"

// Endpoint is one of the protocol's four, one of the queue's, that of the past, or EndpointNone for a request that meant none of them.
type Endpoint string

const (
	EndpointMetadata     Endpoint = "metadata"
	EndpointSnapshotRead Endpoint = "snapshot_read"
	EndpointAtomicWrite  Endpoint = "atomic_write"
	EndpointWatch        Endpoint = "watch"
	EndpointNone         Endpoint = "none"
)

// ValidName reports whether a database may have that name.
func ValidName(name string) bool { return kv.ValidDatabaseName(name) }

// route is what a path means.
type route struct {
	database string
	endpoint Endpoint
	eventual bool // below the path of eventual reads
}

// eventualPath is below a database's data path: an endpoint of its own, for clients that are content with eventual reads.
const eventualPath = "eventual"

// parseRoute reads a path. It never asks for a redirect to a tidier one: Deno does not follow redirects.
func parseRoute(path string) (route, error) {
	none := route{endpoint: EndpointNone}
	path, rooted := strings.CutPrefix(path, "/")
	if path == "" {
		return route{database: DefaultDatabase, endpoint: EndpointMetadata}, nil
	}
	name, tail, _ := strings.Cut(path, "/")
	if !rooted || !ValidName(name) {
		return none, failure(http.StatusNotFound,
			"there is no database %.80q: a name is 1 to %d of a-z, 0-9, _ and -", name, kv.MaxDatabaseName)
	}
	if below, ok := strings.CutPrefix(tail, eventualPath+"/"); ok {
		switch e := Endpoint(below); e {
		case EndpointSnapshotRead, EndpointWatch:
			return route{database: name, endpoint: e, eventual: true}, nil
		}
	}
	switch e := Endpoint(tail); e {
	case "":
		return route{database: name, endpoint: EndpointMetadata}, nil
	case EndpointSnapshotRead, EndpointAtomicWrite, EndpointWatch, EndpointHistory:
		return route{database: name, endpoint: e}, nil
	case EndpointQueueEnqueue, EndpointQueueReceive, EndpointQueueAck, EndpointQueueNack, EndpointQueueExtend,
		EndpointQueueStats, EndpointQueuePeek, EndpointQueueRetry:
		return route{database: name, endpoint: e}, nil
	}
	return none, failure(http.StatusNotFound,
		"there is no endpoint %.80q: a database has snapshot_read, atomic_write and watch", tail)
}

// dataPath returns the URL of a database's data path, relative to the URL of the metadata exchange, which has the given
// path. Being relative and not rooted, it also holds behind a proxy that maps a path of its own, https://host/kv/, to the
// root of the server, as long as the root is opened with the slash: clients would resolve it against https://host/kv to
// https://host/default, and the server cannot tell. It does not end in a slash, since clients append "/snapshot_read" to it.
func dataPath(metadataPath, database string) string {
	if len(metadataPath) > 1 && strings.HasSuffix(metadataPath, "/") {
		return "../" + database
	}
	return database
}
