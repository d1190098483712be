package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"
)

// Catalog is what an archive has, as its manifests say.
type Catalog struct {
	Lines   []*Line     // the one that was written to last comes first
	Orphans []string    // names of parts without a manifest: left by a crash, or being written
	strays  []*Manifest // segments whose line has no full part any more: left by a prune that was interrupted
}

// Line is an unbroken piece of one history: it begins with a full part, and what comes after it follows without a gap. A new
// one begins when the log does not go on where the archive ends.
type Line struct {
	ID       ulid.ULID
	Fulls    []*Manifest // by position; there is always one
	Segments []*Manifest // by the position of their starts, the longest first
}

// Database returns the UUID of the database.
func (l *Line) Database() string { return l.Fulls[0].DatabaseID }

// Start returns the first place that the line can be restored to.
func (l *Line) Start() Place { return l.Fulls[0].End }

// End returns the last place that the line can be restored to.
func (l *Line) End() Place {
	end := l.Fulls[len(l.Fulls)-1].End
	for segment := l.after(end); segment != nil; segment = l.after(end) {
		end = segment.End
	}
	return end
}

// after returns the segment that goes on from a place, and the furthest, or nil if there is none.
func (l *Line) after(p Place) (furthest *Manifest) {
	for _, s := range l.Segments {
		if s.Start.Applied > p.Applied {
			break
		}
		if s.End.Applied > p.Applied && (furthest == nil || s.End.Applied > furthest.End.Applied) {
			furthest = s
		}
	}
	return furthest
}

// last returns the id of the part that was made last.
func (l *Line) last() (id ulid.ULID) {
	for _, m := range slices.Concat(l.Fulls, l.Segments) {
		if m.ID.Compare(id) > 0 {
			id = m.ID
		}
	}
	return id
}

// manifestsAtOnce bounds how many manifests are read at a time.
const manifestsAtOnce = 16

// maxManifest bounds the size of a manifest, in bytes.
const maxManifest = 64 << 10

// Catalog reads all manifests. If some are not as they were written it fails with ErrDamaged, and returns the others too.
func (a *Archive) Catalog(ctx context.Context) (*Catalog, error) {
	names, err := a.Blob.List(ctx, a.name(""))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	manifests := make([]*Manifest, len(names))
	damaged := make([]error, len(names))
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(manifestsAtOnce)
	for i, name := range names {
		if !strings.HasSuffix(name, manifestSuffix) {
			continue
		}
		group.Go(func() (err error) {
			manifests[i], err = a.readManifest(reading, name)
			switch {
			case errors.Is(err, ErrNotFound): // pruned meanwhile
				return nil
			case errors.Is(err, ErrDamaged):
				damaged[i] = err
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	manifests = slices.DeleteFunc(manifests, func(m *Manifest) bool { return m == nil })
	catalog := &Catalog{Orphans: a.orphans(names, manifests)}
	catalog.sort(manifests)
	return catalog, errors.Join(damaged...)
}

func (a *Archive) readManifest(ctx context.Context, name string) (*Manifest, error) {
	file, err := a.Blob.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxManifest))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	m, err := decodeManifest(name, data)
	if err == nil && m.Database != a.Database {
		return nil, fmt.Errorf("%w: the manifest %s is of the database %q", ErrDamaged, name, m.Database)
	}
	return m, err
}

// sort puts parts into their lines.
func (c *Catalog) sort(manifests []*Manifest) {
	byID := map[ulid.ULID]*Line{}
	var list []*Line
	for _, m := range manifests {
		l := byID[m.Line]
		if l == nil {
			l = &Line{ID: m.Line}
			byID[m.Line] = l
			list = append(list, l)
		}
		if m.Kind == KindFull {
			l.Fulls = append(l.Fulls, m)
		} else {
			l.Segments = append(l.Segments, m)
		}
	}
	for _, l := range list {
		slices.SortFunc(l.Fulls, func(a, b *Manifest) int { return cmp.Compare(a.End.Applied, b.End.Applied) })
		slices.SortFunc(l.Segments, func(a, b *Manifest) int {
			return cmp.Or(cmp.Compare(a.Start.Applied, b.Start.Applied), cmp.Compare(b.End.Applied, a.End.Applied))
		})
	}
	for _, l := range list {
		if len(l.Fulls) == 0 {
			c.strays = append(c.strays, l.Segments...)
		} else {
			c.Lines = append(c.Lines, l)
		}
	}
	slices.SortFunc(c.Lines, func(a, b *Line) int { return b.last().Compare(a.last()) })
}

// orphans returns the names of parts that no manifest describes.
func (a *Archive) orphans(names []string, manifests []*Manifest) (list []string) {
	described := map[string]bool{}
	for _, m := range manifests {
		described[a.name(m.partName())] = true
	}
	for _, name := range names {
		if strings.HasSuffix(name, partSuffix) && !described[name] {
			list = append(list, name)
		}
	}
	return list
}
