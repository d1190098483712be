package v8_test

import (
	"bytes"
	"fmt"
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"testing/quick"

	"github.com/millpondkv/millpond/kv/v8"
)

// Values of Go types of every shape come back as they were: what they are written as is the same again.
func TestGeneratedTypes(t *testing.T) {
	const seed, count = 9, 400
	r := rand.New(rand.NewSource(seed))
	compared := 0
	for range count {
		v, ok := quick.Value(randomType(r, 3), r)
		if !ok {
			t.Fatal("no value")
		}
		data, err := v8.Marshal(v.Interface())
		if err != nil {
			if !strings.Contains(err.Error(), "is beyond ±2^53") {
				t.Errorf("%v: %v", v.Type(), err)
			}
			continue
		}
		compared++
		back := reflect.New(v.Type())
		if err := v8.Unmarshal(data, back.Interface()); err != nil {
			t.Errorf("%v: %v", v.Type(), err)
		}
		if again := marshal(t, back.Interface()); !bytes.Equal(data, again) {
			t.Errorf("%v\nwas %x\n is %x", v.Type(), data, again)
		}
		if _, err := v8.Decode(data); err != nil {
			t.Errorf("%v: %v", v.Type(), err)
		}
	}
	if compared < count/2 {
		t.Errorf("compared only %d of %d", compared, count)
	}
}

var plainTypes = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int8](), reflect.TypeFor[int32](), reflect.TypeFor[uint16](), reflect.TypeFor[float32](),
	reflect.TypeFor[float64](), reflect.TypeFor[string](), reflect.TypeFor[[]byte](), reflect.TypeFor[[4]byte](), reflect.TypeFor[inner](),
	reflect.TypeFor[v8.SetOf[uint8]](), reflect.TypeFor[v8.MapOf[float64, *int16]](),
}

var keyTypes = []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[int8](), reflect.TypeFor[uint16]()}

func randomType(r *rand.Rand, depth int) reflect.Type {
	if depth == 0 {
		return plainTypes[r.Intn(len(plainTypes))]
	}
	switch r.Intn(5) {
	case 0:
		return reflect.SliceOf(randomType(r, depth-1))
	case 1:
		return reflect.ArrayOf(r.Intn(4), randomType(r, depth-1))
	case 2:
		return reflect.PointerTo(reflect.ArrayOf(1, randomType(r, depth-1))) // not to what can be nil itself: both are null
	case 3:
		return reflect.MapOf(keyTypes[r.Intn(len(keyTypes))], randomType(r, depth-1))
	}
	tags := []string{"", `json:"tagged%d"`, `json:"omitted%d,omitempty"`, `json:"text%d,string"`, `v8:"bigint%d,bigint"`}
	var fields []reflect.StructField
	for i := range r.Intn(7) {
		f := reflect.StructField{Name: fmt.Sprint("F", i), Type: randomType(r, depth-1)}
		if tag := tags[r.Intn(len(tags))]; tag != "" {
			f.Tag = reflect.StructTag(fmt.Sprintf(tag, i))
		}
		fields = append(fields, f)
	}
	return reflect.StructOf(fields)
}
