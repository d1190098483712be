package v8

import (
	"cmp"
	"fmt"
	"slices"
)

// array reads a dense or a sparse array after its tag.
func (d *decoder) array(tag byte) (*Array, error) {
	a := &Array{}
	d.begin(a)
	length, err := d.uint32()
	if err != nil {
		return nil, err
	}
	end := byte(tagSparseEnd)
	var elements []any
	if tag == tagDense {
		end = tagDenseEnd
		if elements, err = d.elements(length); err != nil {
			return nil, err
		}
	}
	properties, err := d.properties(end)
	if err != nil {
		return nil, err
	}
	if again, err := d.uint32(); err != nil || again != length {
		return nil, cmp.Or(err, error(formatError("an array that begins and ends with different lengths")))
	}
	a.Elements, a.Properties = gather(elements, properties)
	if length > uint32(len(a.Elements)) {
		a.Length = length
	}
	return a, nil
}

func (d *decoder) elements(n uint32) ([]any, error) {
	if uint64(n) > uint64(len(d.data)-d.pos) {
		return nil, errCutOff
	}
	elements := make([]any, 0, min(n, 8)) // grows with what is really there
	for range n {
		tag, err := d.tag()
		if err != nil {
			return nil, err
		}
		var v any = Hole
		if tag != tagHole {
			if v, err = d.tagged(tag); err != nil {
				return nil, err
			}
		}
		elements = append(elements, v)
	}
	return elements, nil
}

// maxHoles is the number of holes that gather fills in for each element. It bounds the memory that a sparse array takes.
const maxHoles = 8

// gather moves properties that are elements to elements, as long as few enough holes lie between them, and returns the
// rest in order. Holes at the end of elements are left out; the array's length tells of them.
func gather(elements []any, properties []Property) ([]any, []Property) {
	SortProperties(properties)
	for len(properties) > 0 {
		i, ok := ArrayIndex(properties[0].Key)
		if !ok || uint64(i) > uint64(len(elements)+maxHoles) {
			break
		}
		for uint32(len(elements)) <= i {
			elements = append(elements, Hole)
		}
		elements[i] = properties[0].Value
		properties = properties[1:]
	}
	for len(elements) > 0 && elements[len(elements)-1] == any(Hole) {
		elements = elements[:len(elements)-1]
	}
	if len(properties) == 0 {
		properties = nil
	}
	return elements, properties
}

// bufferOrView reads an ArrayBuffer after its tag, and the view that may follow it.
func (d *decoder) bufferOrView(tag byte) (any, error) {
	size, err := d.varint()
	if err != nil {
		return nil, err
	}
	buffer := &ArrayBuffer{Resizable: tag == tagResizable}
	d.begin(buffer)
	if buffer.Resizable {
		if buffer.MaxByteLength, err = d.uint64(); err != nil { // 64 bits in any version, so that Portable keeps it
			return nil, err
		}
		if size > buffer.MaxByteLength || buffer.MaxByteLength > maxSafeInteger {
			return nil, fmt.Errorf("an ArrayBuffer of %d bytes that says it has at most %d", size, buffer.MaxByteLength)
		}
	}
	b, err := d.bytes(size)
	if err != nil {
		return nil, err
	}
	buffer.Data = slices.Clone(b)
	return d.viewAfter(buffer)
}

const maxSafeInteger = 1<<53 - 1

// Flags of a view.
const (
	flagTracking  = 1
	flagResizable = 2
)

// viewAfter returns the view of buffer that comes next in data, or buffer if none does.
func (d *decoder) viewAfter(buffer *ArrayBuffer) (any, error) {
	before := d.pos
	if tag, err := d.tag(); err != nil || tag != tagView {
		d.pos = before
		return buffer, nil
	}
	kind, err := d.bytes(1)
	if err != nil {
		return nil, err
	}
	offset, err := d.varint()
	if err != nil {
		return nil, err
	}
	size, err := d.varint()
	if err != nil {
		return nil, err
	}
	var flags uint32
	if d.version >= 14 {
		if flags, err = d.uint32(); err != nil {
			return nil, err
		}
	}
	if reach := uint64(len(buffer.Data)); offset > reach || size > reach {
		return nil, formatError("a view that reaches beyond its buffer")
	}
	if buffer.Resizable != (flags&flagResizable != 0) {
		return nil, formatError("a view and its buffer of which only one is resizable")
	}
	view := &View{Kind: ViewKind(kind[0]), Buffer: buffer, Offset: int(offset), Length: int(size)}
	if err := view.check(); err != nil {
		return nil, err
	}
	if flags&flagTracking != 0 {
		view.Tracking, view.Length = true, 0
	}
	d.begin(view)
	return view, view.check()
}

// Host objects are what the embedder wrote. Deno begins with the largest uint32 and adds a description as a value; Node's
// v8.serialize writes views in a way of its own: an index of their class, the number of bytes, the bytes. Any other program
// writes what it likes, which is an Opaque.
const (
	denoHostObject = 1<<32 - 1
	nodeBuffer     = 10
)

var nodeViews = [...]ViewKind{
	KindInt8, KindUint8, KindUint8Clamped, KindInt16, KindUint16, KindInt32, KindUint32, KindFloat32, KindFloat64,
	KindDataView, nodeBuffer: KindUint8, KindBigInt64, KindBigUint64, KindFloat16,
}

func (d *decoder) hostObject() (any, error) {
	class, err := d.uint32()
	if err != nil {
		return nil, err
	}
	if class == denoHostObject {
		host := &Host{}
		d.begin(host)
		host.Description, err = d.value()
		return host, err
	}
	if class >= uint32(len(nodeViews)) {
		d.strange = true
		return nil, fmt.Errorf("a host object of the unknown class %d, which only the program that wrote it can read", class)
	}
	b, err := d.sized()
	if err != nil {
		return nil, err
	}
	view := Uint8Array(slices.Clone(b))
	view.Kind = nodeViews[class]
	d.foreign = true
	d.begin(view)
	return view, view.check()
}
