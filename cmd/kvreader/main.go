// Command kvreader serves Deno KV from a replica of every database of a cluster.
package main

import (
	"os"

	"github.com/millpondkv/millpond/internal/cluster"
	"github.com/spf13/cobra"
)

func main() {
	os.Exit(cluster.Execute(&cobra.Command{
		Use:   "kvreader",
		Short: "Serve Deno KV from a replica of every database of a cluster",
		Long: `Serve Deno KV from a replica of every database of a cluster. It answers reads and watches by itself, and has a
kvwriter decide the writes. Any number of readers can run, and each serves everything.

Settings come from flags, then the environment (MILLPOND_NATS for --nats, and so on), then the YAML file that --config
names, then the defaults. GET /livez, /readyz and /metrics are for operators. SIGTERM drains.`,
		Example: "  kvreader --nats nats://a:4222,nats://b:4222,nats://c:4222 --addr 0.0.0.0:4512 --access-token-file token",
	}, new(cluster.ReaderConfig)))
}
