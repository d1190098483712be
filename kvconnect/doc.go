// Package kvconnect is the KV Connect protocol server: what stock Deno, Node and Python clients talk to.
//
// A [Server] is an http.Handler for protocol versions 1, 2 and 3. A database is a path segment:
//
//	POST /                         metadata of the database "default"
//	POST /orders                   metadata of the database "orders" (a trailing slash is tolerated)
//	POST /orders/snapshot_read     the data path of "orders", and so for "default"
//	POST /orders/atomic_write
//	POST /orders/watch
//
// Every name is free for a database, "metrics" and "livez" too: KV Connect is POST only, so pages that are fetched with
// GET share the port and the path. Whoever puts a Server beside such pages routes by method, not by path.
//
// The metadata exchange takes the access token and hands out a token for the data path; see token.go. Each endpoint has a
// file of its own: metadata.go, snapshot_read.go, atomic_write.go, watch.go. The messages are read and written by hand
// (decode.go, encode.go), straight from and into the types of package kv; tests hold them to the generated code of
// package datapath. answer.go decides which status an error becomes, which matters: Deno sends a request that was
// answered with a 5xx again and again, for ever, writes included.
package kvconnect
