package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/millpondkv/millpond/kvconnect"
	"github.com/millpondkv/millpond/kvconnect/datapath"
)

// measureNothing runs the program against a server that does nothing: it speaks KV Connect over the same HTTP server and
// answers with constants. What it reaches is the bound that Deno's client and HTTP set on this machine.
func measureNothing(ctx context.Context, deno string) (r result, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return r, err
	}
	server := &http.Server{Handler: nothing()}
	kvconnect.ConfigureServer(server)
	go server.Serve(listener)
	defer server.Close()
	return measure(ctx, deno, "http://"+listener.Addr().String())
}

func nothing() http.Handler {
	versionstamp := make([]byte, 10)
	versionstamp[7] = 1
	entry := &datapath.KvEntry{
		Key: []byte("\x02bench\x00"), Value: append([]byte("\xff\x0f\"\x64"), make([]byte, 100)...),
		Encoding: datapath.ValueEncoding_VE_V8, Versionstamp: versionstamp,
	}
	read, _ := proto.Marshal(&datapath.SnapshotReadOutput{
		Ranges:                   []*datapath.ReadRangeOutput{{Values: []*datapath.KvEntry{entry}}},
		ReadIsStronglyConsistent: true, Status: datapath.SnapshotReadStatus_SR_SUCCESS,
	})
	write, _ := proto.Marshal(&datapath.AtomicWriteOutput{Status: datapath.AtomicWriteStatus_AW_SUCCESS, Versionstamp: versionstamp})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"version":3,"databaseId":"11111111-1111-1111-1111-111111111111","endpoints":[{"url":"data","consistency":"strong"}],"token":"x","expiresAt":%q}`,
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	})
	constant := func(body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/x-protobuf")
			w.Write(body)
		}
	}
	mux.HandleFunc("POST /data/snapshot_read", constant(read))
	mux.HandleFunc("POST /data/atomic_write", constant(write))
	return mux
}
