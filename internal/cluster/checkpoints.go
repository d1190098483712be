package cluster

import (
	"errors"

	"github.com/millpondkv/millpond/internal/config"
	"github.com/millpondkv/millpond/service"
)

// Checkpoints is the settings of where a program keeps checkpoints.
type Checkpoints struct {
	CheckpointDir   string      `config:"checkpoint-dir" help:"keep checkpoints of the databases in this directory, which belongs to this process alone; without it each start takes the newest checkpoint that NATS has, and replays the rest of the log" tradeoff:"a start reads from a disk of its own, and the log is known to have lost what was acked if it has"`
	CheckpointBytes config.Size `config:"checkpoint-bytes" default:"64MiB" help:"take a checkpoint of a database each time its log has grown by so much: into that directory, and a kvwriter that leads also into NATS, once the log has grown by the size of the last one too" tradeoff:"less makes a start after a crash faster and writes more"`
}

// open locks the directory. It returns nil if there is none.
func (c Checkpoints) open() (*service.Checkpoints, error) {
	switch {
	case c.CheckpointDir == "":
		return nil, nil
	case c.CheckpointBytes <= 0:
		return nil, errors.New("--checkpoint-bytes must be above zero")
	}
	return service.OpenCheckpoints(c.CheckpointDir, int64(c.CheckpointBytes))
}
