package client

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"

	"google.golang.org/protobuf/proto"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
)

// Codec turns Go values into stored ones and back. It must be safe for concurrent use.
//
// A codec sees neither a kv.Value, which is stored and read as it is, nor a U64, which is a number to all codecs.
type Codec interface {
	// Encode returns the stored form of v. It must not keep v, nor memory of it.
	Encode(v any) (kv.Value, error)
	// Decode sets what target points to. It must not keep value's data.
	Decode(value kv.Value, target any) error
}

// WithCodec stores and reads Go values by c; by default by V8Codec. All programs that share a key must use one.
func WithCodec(c Codec) Option {
	return func(o *options) { o.codec = c }
}

// V8Codec is the codec for data that Deno, Node and Python programs share: v8.Marshal says what Go values are to them. A []byte
// is stored as they store a Uint8Array.
type V8Codec struct{}

// Encode is v8.Marshal.
func (V8Codec) Encode(v any) (kv.Value, error) {
	if b, ok := v.([]byte); ok && b != nil {
		return Bytes(bytes.Clone(b)), nil
	}
	data, err := v8.Marshal(v)
	return kv.Value{Encoding: kv.EncodingV8, Data: data}, err
}

// Decode is v8.Unmarshal.
func (V8Codec) Decode(value kv.Value, target any) error {
	switch value.Encoding {
	case kv.EncodingV8:
		return v8.Unmarshal(value.Data, target)
	case kv.EncodingBytes:
		if b, ok := target.(*[]byte); ok {
			*b = append([]byte{}, value.Data...)
			return nil
		}
		return decodeAs(v8.Uint8Array(value.Data), target)
	}
	return fmt.Errorf("a value in %v, which V8Codec does not know", value.Encoding)
}

// decodeAs is Decode of a value that V8 would have written.
func decodeAs(v, target any) error {
	data, err := v8.Encode(v)
	if err != nil {
		return err
	}
	return v8.Unmarshal(data, target)
}

// JSONCodec stores JSON text, which JavaScript programs see as a Uint8Array.
type JSONCodec struct{}

// Encode is json.Marshal.
func (JSONCodec) Encode(v any) (kv.Value, error) {
	data, err := json.Marshal(v)
	return Bytes(data), err
}

// Decode is json.Unmarshal.
func (JSONCodec) Decode(value kv.Value, target any) error {
	data, err := bytesOf(value, "JSON")
	if err != nil {
		return err
	}
	return json.Unmarshal(data, target)
}

// ProtobufCodec stores protobuf messages, which JavaScript programs see as a Uint8Array. The type of a typed read is the
// pointer, as in Get[*pb.User].
type ProtobufCodec struct{}

// Encode is proto.Marshal.
func (ProtobufCodec) Encode(v any) (kv.Value, error) {
	message, ok := v.(proto.Message)
	if !ok {
		return kv.Value{}, fmt.Errorf("the Go type %T is no protobuf message", v)
	}
	data, err := proto.Marshal(message)
	return Bytes(data), err
}

// Decode is proto.Unmarshal. The target is a message, or a pointer to a pointer to one.
func (ProtobufCodec) Decode(value kv.Value, target any) error {
	data, err := bytesOf(value, "protobuf")
	if err != nil {
		return err
	}
	if message, ok := target.(proto.Message); ok {
		return proto.Unmarshal(data, message)
	}
	v := reflect.ValueOf(target).Elem()
	if v.Kind() == reflect.Pointer {
		made := reflect.New(v.Type().Elem())
		if message, ok := made.Interface().(proto.Message); ok {
			v.Set(made)
			return proto.Unmarshal(data, message)
		}
	}
	return fmt.Errorf("the Go type %s is no protobuf message", v.Type())
}

// RawCodec stores a []byte or string as it is, which JavaScript programs see as a Uint8Array.
type RawCodec struct{}

// Encode copies a []byte or string.
func (RawCodec) Encode(v any) (kv.Value, error) {
	switch v := v.(type) {
	case []byte:
		return Bytes(append([]byte{}, v...)), nil
	case string:
		return Bytes([]byte(v)), nil
	}
	return kv.Value{}, fmt.Errorf("the Go type %T is neither a []byte nor a string", v)
}

// Decode copies to a *[]byte or *string.
func (RawCodec) Decode(value kv.Value, target any) error {
	data, err := bytesOf(value, "raw")
	if err != nil {
		return err
	}
	switch target := target.(type) {
	case *[]byte:
		*target = append([]byte{}, data...)
		return nil
	case *string:
		*target = string(data)
		return nil
	}
	return fmt.Errorf("the Go type %s is neither a []byte nor a string", reflect.TypeOf(target).Elem())
}

// bytesOf returns the bytes of a value, which are a Uint8Array to V8 where they were a message.
func bytesOf(value kv.Value, what string) ([]byte, error) {
	switch value.Encoding {
	case kv.EncodingBytes:
		return value.Data, nil
	case kv.EncodingV8:
		if v, err := v8.Decode(value.Data); err == nil {
			if view, ok := v.(*v8.View); ok && view.Kind == v8.KindUint8 {
				return view.Bytes(), nil
			}
		}
	}
	return nil, fmt.Errorf("a value in %v where there should be bytes, of %s", value.Encoding, what)
}

// encodePayload returns what a message carries of any value: V8, in which bytes are a Uint8Array.
func encodePayload(c Codec, v any) ([]byte, error) {
	value, err := encodeValue(c, v)
	switch {
	case err != nil:
		return nil, err
	case value.Encoding == kv.EncodingBytes:
		return v8.Encode(v8.Uint8Array(value.Data))
	case value.Encoding != kv.EncodingV8:
		return nil, fmt.Errorf("the payload is %s; it must be V8 or bytes", value.Encoding)
	}
	return value.Data, nil
}

// encodeValue is Encode of c for any value, also for one that is a stored one already.
func encodeValue(c Codec, v any) (kv.Value, error) {
	if value, ok := v.(kv.Value); ok {
		return value, nil
	}
	return c.Encode(v)
}

// decodeValue is Decode of c for any stored value and target.
func decodeValue(c Codec, value kv.Value, target any) error {
	if raw, ok := target.(*kv.Value); ok {
		*raw = value
		return nil
	}
	if value.Encoding != kv.EncodingLE64 {
		return c.Decode(value, target)
	}
	n, err := readU64(value)
	if err != nil {
		return err
	}
	if natural, ok := target.(*any); ok {
		*natural = n
		return nil
	}
	if n <= 1<<53 {
		return decodeAs(float64(n), target) // which a float takes too
	}
	return decodeAs(new(big.Int).SetUint64(n), target)
}

func readU64(value kv.Value) (uint64, error) {
	if len(value.Data) != 8 {
		return 0, fmt.Errorf("a U64 of %d bytes", len(value.Data))
	}
	return binary.LittleEndian.Uint64(value.Data), nil
}
