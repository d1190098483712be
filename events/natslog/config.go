package natslog

import "github.com/nats-io/nats.go/jetstream"

// Config returns how the log's stream was made.
func (l *Log) Config() Config {
	c := l.stream.CachedInfo().Config
	return Config{Replicas: c.Replicas, Memory: c.Storage == jetstream.MemoryStorage}
}
