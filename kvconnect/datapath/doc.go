// Package datapath holds the protobuf messages of KV Connect, generated from datapath.proto.
//
// Generating them needs protoc (Debian: protobuf-compiler); the plugin's version is pinned in go.mod.
package datapath

//go:generate sh -c "go build -o ../../bin/protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go && protoc --plugin=../../bin/protoc-gen-go --go_out=. --go_opt=paths=source_relative datapath.proto"
