package literal

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/millpondkv/millpond/kv/v8"
)

// arrayBuilder gathers what stands between the brackets of an array.
type arrayBuilder struct {
	array  v8.Array
	length uint64
	sparse bool // from here on elements go to Properties, as the holes before them are many
	named  []v8.Property
	seen   map[string]bool // their keys
}

const maxHoles = 8

func (b *arrayBuilder) add(v any) {
	if b.sparse {
		key := strconv.FormatUint(b.length, 10)
		b.array.Properties = append(b.array.Properties, v8.Property{Key: key, Value: v})
	} else {
		b.array.Elements = append(b.array.Elements, v)
	}
	b.length++
}

func (b *arrayBuilder) addHoles(n uint64) {
	if n <= maxHoles && !b.sparse {
		b.array.Elements = append(b.array.Elements, slices.Repeat([]any{v8.Hole}, int(n))...)
	} else {
		b.sparse = true
	}
	b.length += n
}

// finish returns the array; holes at its end are told by its length.
func (b *arrayBuilder) finish() *v8.Array {
	a := &b.array
	for len(a.Elements) > 0 && a.Elements[len(a.Elements)-1] == any(v8.Hole) {
		a.Elements = a.Elements[:len(a.Elements)-1]
	}
	if b.length > uint64(len(a.Elements)) {
		a.Length = uint32(b.length)
	}
	a.Properties = append(a.Properties, b.named...)
	return a
}

func (p *parser) array() (any, error) {
	start := p.pos
	p.pos++
	var b arrayBuilder
	for !p.skip("]") {
		if p.skip(",") { // nothing before it
			b.addHoles(1)
			continue
		}
		if err := p.arrayItem(&b); err != nil {
			return nil, err
		}
		if b.length > math.MaxUint32 {
			return nil, p.errorAt(start, "the array has more than 2^32-1 elements")
		}
		if !p.skip(",") && !strings.HasPrefix(p.text[p.pos:], "]") {
			return nil, p.expected("',' or ']'")
		}
	}
	return b.finish(), nil
}

// arrayItem reads an element, a number of holes, or a property.
func (p *parser) arrayItem(b *arrayBuilder) error {
	if holes, ok := p.emptyItems(); ok {
		b.addHoles(holes)
		return nil
	}
	start := p.pos
	if key, ok := p.arrayKey(); ok {
		if _, index := v8.ArrayIndex(key); index || key == "length" {
			return p.errorAt(start, "the key %s cannot be given in an array; it follows from the elements", Quote(key))
		}
		v, err := p.value()
		if err != nil {
			return err
		}
		if b.seen[key] {
			return p.errorAt(start, "the property %s occurs twice", Quote(key))
		}
		if b.seen == nil {
			b.seen = map[string]bool{}
		}
		b.seen[key] = true
		b.named = append(b.named, v8.Property{Key: key, Value: v})
		return nil
	}
	v, err := p.value()
	if err != nil {
		return err
	}
	b.add(v)
	return nil
}

// arrayKey reads a key and its colon, if that is what comes next.
func (p *parser) arrayKey() (key string, ok bool) {
	start := p.pos
	rest := p.text[p.pos:]
	if scanName(rest) != "" || strings.HasPrefix(rest, `"`) || strings.HasPrefix(rest, "'") || p.digitNext() {
		if key, err := p.key(); err == nil && p.skip(":") {
			return key, true
		}
	}
	p.pos = start
	return "", false
}

// emptyItems reads "<3 empty items>", if that is what comes next.
func (p *parser) emptyItems() (n uint64, ok bool) {
	rest := p.text[p.pos:]
	if !strings.HasPrefix(rest, "<") {
		return 0, false
	}
	inside, _, closed := strings.Cut(rest[1:min(len(rest), 40)], ">")
	count, _, named := strings.Cut(inside, " empty item")
	n, err := strconv.ParseUint(count, 10, 32)
	if !closed || !named || err != nil {
		return 0, false
	}
	p.pos += len(inside) + len("<>")
	return n, true
}
