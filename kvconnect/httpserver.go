package kvconnect

import (
	"net/http"
	"time"
)

// The settings of the HTTP server, each with its reason.
const (
	// maxStreams is how many requests a connection may have at once. Deno has one connection for each openKv and every
	// watch takes a stream of it; when they run out, gets hang without an error.
	maxStreams = 10_000
	// A client that has not sent its headers, or its whole body, by then is gone or means harm.
	readHeaderTimeout = 10 * time.Second
	readTimeout       = time.Minute
	// idleTimeout is longer than Deno's pause between metadata exchanges, a minute, so its connection stays.
	idleTimeout = 3 * time.Minute
	// Clients have no timeouts on watches, so the server finds the dead ones: an HTTP/2 connection that was silent for
	// pingAfter is pinged, and closed if it does not answer, or takes no data that waits for it.
	pingAfter        = 15 * time.Second
	pingTimeout      = 15 * time.Second
	writeByteTimeout = 30 * time.Second
	maxHeaderBytes   = 64 << 10
)

// ConfigureServer sets what KV Connect needs of an http.Server, before it is started: HTTP/1.1, and HTTP/2 without TLS
// by prior knowledge, on one port (Deno speaks only the one, Node only the other), enough streams a connection, and
// timeouts that spare watches. There is no WriteTimeout on purpose.
func ConfigureServer(server *http.Server) {
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	server.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams: maxStreams,
		SendPingTimeout:      pingAfter,
		PingTimeout:          pingTimeout,
		WriteByteTimeout:     writeByteTimeout,
	}
	server.ReadHeaderTimeout = readHeaderTimeout
	server.ReadTimeout = readTimeout
	server.IdleTimeout = idleTimeout
	server.MaxHeaderBytes = maxHeaderBytes
}
