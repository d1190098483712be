package v8

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
)

// ArrayBuffer is an ArrayBuffer. A resizable one has a maximum length of at least len(Data).
type ArrayBuffer struct {
	Data          []byte
	Resizable     bool
	MaxByteLength uint64 // of a resizable buffer
}

// View is a typed array or a DataView: Length bytes of Buffer from Offset. A tracking view of a resizable buffer reaches
// from Offset to the buffer's end, whatever its length; its own Length is 0.
type View struct {
	Kind           ViewKind
	Buffer         *ArrayBuffer
	Offset, Length int // bytes; multiples of the element's size
	Tracking       bool
}

// Uint8Array returns a Uint8Array of b, which it keeps.
func Uint8Array(b []byte) *View {
	return &View{Kind: KindUint8, Buffer: &ArrayBuffer{Data: b}, Length: len(b)}
}

// ViewKind is the type of a view; the numbers are the format's.
type ViewKind byte

// The kinds of views.
const (
	KindInt8         ViewKind = 'b'
	KindUint8        ViewKind = 'B'
	KindUint8Clamped ViewKind = 'C'
	KindInt16        ViewKind = 'w'
	KindUint16       ViewKind = 'W'
	KindInt32        ViewKind = 'd'
	KindUint32       ViewKind = 'D'
	KindFloat16      ViewKind = 'h' // Deno and Node 24 on; Node 20 cannot read it
	KindFloat32      ViewKind = 'f'
	KindFloat64      ViewKind = 'F'
	KindBigInt64     ViewKind = 'q'
	KindBigUint64    ViewKind = 'Q'
	KindDataView     ViewKind = '?'
)

// ViewKinds lists every kind.
var ViewKinds = [...]ViewKind{
	KindInt8, KindUint8, KindUint8Clamped, KindInt16, KindUint16, KindInt32, KindUint32,
	KindFloat16, KindFloat32, KindFloat64, KindBigInt64, KindBigUint64, KindDataView,
}

// describe returns the name of the class and the bytes of an element. The name is empty if there is no such kind.
func (k ViewKind) describe() (name string, size int) {
	switch k {
	case KindInt8:
		return "Int8Array", 1
	case KindUint8:
		return "Uint8Array", 1
	case KindUint8Clamped:
		return "Uint8ClampedArray", 1
	case KindInt16:
		return "Int16Array", 2
	case KindUint16:
		return "Uint16Array", 2
	case KindInt32:
		return "Int32Array", 4
	case KindUint32:
		return "Uint32Array", 4
	case KindFloat16:
		return "Float16Array", 2
	case KindFloat32:
		return "Float32Array", 4
	case KindFloat64:
		return "Float64Array", 8
	case KindBigInt64:
		return "BigInt64Array", 8
	case KindBigUint64:
		return "BigUint64Array", 8
	case KindDataView:
		return "DataView", 1
	}
	return "", 0
}

// String returns the name of the class.
func (k ViewKind) String() string {
	name, _ := k.describe()
	return name
}

// ElementSize is the number of bytes of an element; 1 for a DataView, 0 if there is no such kind.
func (k ViewKind) ElementSize() int {
	_, size := k.describe()
	return size
}

// check says what is wrong with the view, if anything is.
func (v *View) check() error {
	size := v.Kind.ElementSize()
	switch {
	case size == 0:
		return fmt.Errorf("a view of the unknown kind 0x%02x", byte(v.Kind))
	case v.Buffer == nil:
		return fmt.Errorf("a %s without a buffer", v.Kind)
	case v.Offset < 0 || v.Length < 0 || v.Offset > len(v.Buffer.Data) || v.Length > len(v.Buffer.Data)-v.Offset:
		return fmt.Errorf("a %s that reaches beyond its buffer", v.Kind)
	case v.Offset%size != 0 || v.Length%size != 0:
		return fmt.Errorf("a %s that is not aligned to elements of %d bytes", v.Kind, size)
	case v.Tracking && !v.Buffer.Resizable:
		return fmt.Errorf("a %s that tracks the length of a buffer that cannot be resized", v.Kind)
	case v.Tracking && v.Length != 0:
		return fmt.Errorf("a %s that tracks the length of its buffer and has a length of its own", v.Kind)
	}
	return nil
}

// Bytes returns the bytes that the view shows, which are the buffer's own. The view must be one that Decode returned or
// Encode would take.
func (v *View) Bytes() []byte {
	if v.Tracking {
		b := v.Buffer.Data[v.Offset:]
		return b[:len(b)-len(b)%v.Kind.ElementSize()]
	}
	return v.Buffer.Data[v.Offset : v.Offset+v.Length]
}

// Len is the number of elements.
func (v *View) Len() int { return len(v.Bytes()) / v.Kind.ElementSize() }

// At returns element i: a float64, or a *big.Int of a BigInt64Array or BigUint64Array. A DataView's are its bytes.
func (v *View) At(i int) any {
	size := v.Kind.ElementSize()
	b := v.Bytes()[i*size : (i+1)*size]
	switch v.Kind {
	case KindInt8:
		return float64(int8(b[0]))
	case KindInt16:
		return float64(int16(binary.LittleEndian.Uint16(b)))
	case KindUint16:
		return float64(binary.LittleEndian.Uint16(b))
	case KindInt32:
		return float64(int32(binary.LittleEndian.Uint32(b)))
	case KindUint32:
		return float64(binary.LittleEndian.Uint32(b))
	case KindFloat16:
		return fromFloat16(binary.LittleEndian.Uint16(b))
	case KindFloat32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case KindFloat64:
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	case KindBigInt64:
		return big.NewInt(int64(binary.LittleEndian.Uint64(b)))
	case KindBigUint64:
		return new(big.Int).SetUint64(binary.LittleEndian.Uint64(b))
	}
	return float64(b[0])
}

// AppendElement appends the bytes of element x, a float64 or *big.Int as At returns it. Unlike JavaScript, which wraps
// around, it fails if x does not fit; floats are rounded.
func (k ViewKind) AppendElement(b []byte, x any) ([]byte, error) {
	n, isBigint := x.(*big.Int)
	f, isNumber := x.(float64)
	switch {
	case k == KindBigInt64 && isBigint && n.IsInt64():
		return binary.LittleEndian.AppendUint64(b, uint64(n.Int64())), nil
	case k == KindBigUint64 && isBigint && n.IsUint64():
		return binary.LittleEndian.AppendUint64(b, n.Uint64()), nil
	case k == KindBigInt64 || k == KindBigUint64 || !isNumber:
		return nil, fmt.Errorf("it does not fit in a %s", k)
	case k == KindFloat16:
		return binary.LittleEndian.AppendUint16(b, toFloat16(f)), nil
	case k == KindFloat32:
		if math.IsNaN(f) {
			return binary.LittleEndian.AppendUint32(b, 0x7fc0_0000), nil
		}
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(f))), nil
	case k == KindFloat64:
		return binary.LittleEndian.AppendUint64(b, doubleBits(f)), nil
	}
	return k.appendInteger(b, f)
}

func (k ViewKind) appendInteger(b []byte, f float64) ([]byte, error) {
	size := k.ElementSize()
	low, high := 0.0, math.Ldexp(1, 8*size)-1
	if k == KindInt8 || k == KindInt16 || k == KindInt32 {
		low, high = -math.Ldexp(1, 8*size-1), math.Ldexp(1, 8*size-1)-1
	}
	if !(f >= low && f <= high) || f != math.Trunc(f) {
		return nil, fmt.Errorf("it does not fit in a %s, which takes integers from %.0f to %.0f", k, low, high)
	}
	var wide [8]byte
	binary.LittleEndian.PutUint64(wide[:], uint64(int64(f)))
	return append(b, wide[:size]...), nil
}
