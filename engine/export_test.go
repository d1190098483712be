package engine

import "github.com/millpondkv/millpond/projection"

// Projection is the state that reads are answered from.
func (d *Database) Projection() *projection.Projection { return d.projection }
