package literal

import (
	"fmt"
	"math"

	"github.com/millpondkv/millpond/kv/v8"
)

// maxMade bounds what a length alone can make, in bytes. It is the size of the largest value that Deno KV stores.
const maxMade = 1 << 16

func viewKind(class string) (v8.ViewKind, bool) {
	for _, kind := range v8.ViewKinds {
		if kind.String() == class {
			return kind, true
		}
	}
	return 0, false
}

// view makes a typed array of its elements, of a length, or of a buffer with an offset and a length; a DataView of a
// buffer alone.
func (c call) view(kind v8.ViewKind) (any, error) {
	if buffer, ok := c.argument(0).(*v8.ArrayBuffer); ok {
		return c.viewOf(buffer, kind)
	}
	if kind == v8.KindDataView {
		return nil, fmt.Errorf("new DataView takes an ArrayBuffer, such as new Uint8Array([1, 2]).buffer")
	}
	if len(c.arguments) > 1 {
		return nil, fmt.Errorf("new %s takes one argument, or an ArrayBuffer with an offset and a length", kind)
	}
	var data []byte
	switch v := c.argument(0).(type) {
	case v8.UndefinedType:
	case float64:
		if !(v >= 0 && v*float64(kind.ElementSize()) <= maxMade) || v != math.Trunc(v) {
			return nil, fmt.Errorf("new %s takes a length of up to %d bytes in all", kind, maxMade)
		}
		data = make([]byte, int(v)*kind.ElementSize())
	case *v8.Array:
		var err error
		if data, err = pack(v, kind); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("new %s takes an array of its elements, a length or an ArrayBuffer", kind)
	}
	return &v8.View{Kind: kind, Buffer: &v8.ArrayBuffer{Data: data}, Length: len(data)}, nil
}

func pack(a *v8.Array, kind v8.ViewKind) ([]byte, error) {
	elements, err := dense(a)
	if err != nil {
		return nil, err
	}
	data := make([]byte, 0, len(elements)*kind.ElementSize())
	for i, v := range elements {
		if data, err = kind.AppendElement(data, v); err != nil {
			return nil, fmt.Errorf("element %d is %s: %w", i, shorten(Format(v)), err)
		}
	}
	return data, nil
}

func (c call) viewOf(buffer *v8.ArrayBuffer, kind v8.ViewKind) (any, error) {
	size, reach := kind.ElementSize(), len(buffer.Data)
	offset, ok := c.count(1, 0)
	if !ok || offset > reach || offset%size != 0 || len(c.arguments) > 3 {
		return nil, fmt.Errorf("the offset of the %s must be a multiple of %d within the buffer's %d bytes", kind, size, reach)
	}
	v := &v8.View{Kind: kind, Buffer: buffer, Offset: offset}
	if len(c.arguments) < 3 {
		if v.Tracking = buffer.Resizable; !v.Tracking {
			v.Length = reach - offset
		}
		if v.Length%size != 0 {
			return nil, fmt.Errorf("the buffer's %d bytes after the offset are no whole number of elements", v.Length)
		}
		return v, nil
	}
	length, ok := c.count(2, 0)
	if !ok || length > (reach-offset)/size {
		return nil, fmt.Errorf("the length of the %s must be a number of elements within the buffer's %d bytes", kind, reach)
	}
	v.Length = length * size
	return v, nil
}

// count returns argument i as a whole number, and otherwise if it is not there.
func (c call) count(i, otherwise int) (n int, ok bool) {
	if i >= len(c.arguments) {
		return otherwise, true
	}
	f, ok := c.arguments[i].(float64)
	return int(f), ok && f >= 0 && f <= 1<<53 && f == math.Trunc(f)
}

func (c call) buffer() (any, error) {
	b := &v8.ArrayBuffer{}
	if a, ok := c.argument(0).(*v8.Array); ok {
		var err error
		if b.Data, err = pack(a, v8.KindUint8); err != nil {
			return nil, err
		}
	} else {
		size, ok := c.count(0, 0)
		if !ok || size > maxMade {
			return nil, fmt.Errorf("new ArrayBuffer takes a length of up to %d bytes, or an array of bytes", maxMade)
		}
		b.Data = make([]byte, size)
	}
	if len(c.arguments) < 2 {
		return b, nil
	}
	options, ok := c.arguments[1].(*v8.Object)
	if !ok || len(c.arguments) > 2 || len(options.Properties) != 1 || options.Properties[0].Key != "maxByteLength" {
		return nil, fmt.Errorf("new ArrayBuffer takes { maxByteLength: … } as its second argument")
	}
	maximum, ok := options.Properties[0].Value.(float64)
	if !ok || !(maximum >= float64(len(b.Data)) && maximum <= 1<<53) || maximum != math.Trunc(maximum) {
		return nil, fmt.Errorf("the maxByteLength must be a number of bytes, at least the %d that there are", len(b.Data))
	}
	b.Resizable, b.MaxByteLength = true, uint64(maximum)
	return b, nil
}
