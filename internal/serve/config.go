// Package serve is `millpond serve`: an engine behind HTTP, from its start to its graceful end.
package serve

import (
	"time"

	"github.com/millpondkv/millpond/internal/config"
	"github.com/millpondkv/millpond/internal/recovery"
)

// Config is the settings of `millpond serve`.
type Config struct {
	Data            string        `config:"data" default:"./millpond-data" help:"keep the data in this directory"`
	Memory          bool          `config:"memory" help:"keep the data in memory only: it is gone when the process ends"`
	Addr            string        `config:"addr" default:"127.0.0.1:4512" help:"listen on this address" tradeoff:"the default is reached from this machine only; use 0.0.0.0:4512 to be reached from others, behind TLS"`
	AccessToken     string        `config:"access-token" env:"DENO_KV_ACCESS_TOKEN" secret:"true" help:"the token that clients must send; without one it is made and kept in the data directory"`
	CreateDatabases bool          `config:"create-databases" default:"true" help:"make a database when it is first used"`
	TrustForwarded  bool          `config:"trust-forwarded" help:"believe X-Forwarded-Proto and X-Forwarded-Host; only behind a proxy that sets both"`
	Raw             bool          `config:"raw" help:"accept keys and values that no client can decode, for protocol test suites"`
	CheckpointBytes config.Size   `config:"checkpoint-bytes" default:"64MiB" help:"take a checkpoint each time the log has grown by so much" tradeoff:"less makes a start after a crash faster and writes more"`
	History         time.Duration `config:"history" default:"168h" help:"keep the log of so much time, for history and restores from it; what is older is trimmed once a checkpoint has it" tradeoff:"more takes more disk"`
	DrainDelay      time.Duration `config:"drain-delay" default:"0s" help:"go on serving for so long after SIGTERM, with /readyz saying no, so that a load balancer notices"`
	DrainTimeout    time.Duration `config:"drain-timeout" default:"25s" help:"how long requests in flight may take to finish after SIGTERM"`
	DebugAddr       string        `config:"debug-addr" help:"serve pprof on this address; keep it on loopback"`
	LogFormat       string        `config:"log-format" default:"auto" help:"auto, text or json; auto is for people on a terminal and text elsewhere"`
	LogLevel        string        `config:"log-level" default:"info" help:"debug, info, warn or error"`
	BackupTo        string        `config:"backup-to" help:"keep archives of all databases in this location, a directory or s3://BUCKET/PREFIX, a few seconds behind; see millpond backup --help"`
	recovery.Store
}
