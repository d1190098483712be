package databases

import "context"

// Before has step called before each step; its error ends the work there, as if the process were killed.
func (d *Databases) Before(step func(name string) error) { d.step = step }

// Notes returns the keys of all notes.
func (d *Databases) Notes(ctx context.Context) ([]string, error) { return d.notes.keys(ctx, ">") }
