package kvconnect

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/kv"
)

// A Uint8Array of one byte, as Node writes it and as everybody reads it. It grows by 4 bytes.
var (
	nodeView     = []byte("\xff\x0f\\\x01\x01a")
	portableView = []byte("\xff\x0fB\x01aVB\x00\x01\x00")
)

func TestMakePortable(t *testing.T) {
	v8, raw := kv.Value{Encoding: kv.EncodingV8, Data: nodeView}, kv.Value{Encoding: kv.EncodingBytes, Data: nodeView}
	a := &kv.Atomic{
		Mutations: []kv.Mutation{{Type: kv.MutationSet, Value: v8}, {Type: kv.MutationSet, Value: raw}, {Type: kv.MutationDelete}},
		Enqueues:  []kv.Enqueue{{Payload: nodeView}},
	}
	makePortable(a)
	want := &kv.Atomic{
		Mutations: []kv.Mutation{
			{Type: kv.MutationSet, Value: kv.Value{Encoding: kv.EncodingV8, Data: portableView}},
			{Type: kv.MutationSet, Value: raw}, {Type: kv.MutationDelete},
		},
		Enqueues: []kv.Enqueue{{Payload: portableView}},
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// What is as large as allowed before is not too large afterwards.
func TestMakePortableWithoutRoom(t *testing.T) {
	set := func(encoding kv.Encoding, data []byte) kv.Mutation {
		return kv.Mutation{Type: kv.MutationSet, Value: kv.Value{Encoding: encoding, Data: data}}
	}
	tests := []struct {
		room          int
		first, second []byte
	}{
		{0, nodeView, nodeView},
		{3, nodeView, nodeView},
		{4, portableView, nodeView},
		{7, portableView, nodeView},
		{8, portableView, portableView},
	}
	for _, test := range tests {
		a := &kv.Atomic{Mutations: []kv.Mutation{set(kv.EncodingV8, nodeView), set(kv.EncodingV8, nodeView)}}
		for free := kv.MaxAtomicSize - test.room - a.Size(); free > 0; free = kv.MaxAtomicSize - test.room - a.Size() {
			a.Mutations = append(a.Mutations, set(kv.EncodingBytes, make([]byte, min(free, kv.MaxValueSize))))
		}
		makePortable(a)
		if got := a.Mutations[0].Value.Data; !bytes.Equal(got, test.first) {
			t.Errorf("with room for %d bytes, the first view is %q, want %q", test.room, got, test.first)
		}
		if got := a.Mutations[1].Value.Data; !bytes.Equal(got, test.second) {
			t.Errorf("with room for %d bytes, the second view is %q, want %q", test.room, got, test.second)
		}
		if n := a.Size(); n > kv.MaxAtomicSize {
			t.Errorf("with room for %d bytes, the atomic has %d bytes", test.room, n)
		}
	}
}
