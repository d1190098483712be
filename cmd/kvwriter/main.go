// Command kvwriter leads the databases of a cluster that no other writer leads, and stands by for the others.
package main

import (
	"os"

	"github.com/millpondkv/millpond/internal/cluster"
	"github.com/spf13/cobra"
)

func main() {
	os.Exit(cluster.Execute(&cobra.Command{
		Use:   "kvwriter",
		Short: "Lead the databases of a cluster, or stand by for them",
		Long: `Lead the databases of a cluster that no other writer leads, and stand by for the others. Two writers or more make a
cluster that goes on writing when one of them is lost.

Settings come from flags, then the environment (MILLPOND_NATS for --nats, and so on), then the YAML file that --config
names, then the defaults. GET /livez, /readyz and /metrics are for operators. SIGTERM hands the databases over.`,
		Example: "  kvwriter --nats nats://a:4222,nats://b:4222,nats://c:4222",
	}, new(cluster.WriterConfig)))
}
