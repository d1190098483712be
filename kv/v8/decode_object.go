package v8

import (
	"fmt"
	"math/big"
	"slices"
)

// object reads an object after its tag. Each object gets its number, the next index of d.objects, where it begins.
func (d *decoder) object(tag byte) (any, error) {
	switch tag {
	case tagReference:
		return d.reference()
	case tagObject:
		return d.plainObject()
	case tagDense, tagSparse:
		return d.array(tag)
	case tagMap:
		return d.mapObject()
	case tagSet:
		return d.setObject()
	case tagDate:
		return d.date()
	case tagTrueBox, tagFalseBox, tagNumberBox, tagBigintBox, tagStringBox:
		return d.boxed(tag)
	case tagRegExp:
		return d.regExp()
	case tagError:
		return d.errorObject()
	case tagBuffer, tagResizable:
		return d.bufferOrView(tag)
	case tagHostObject:
		return d.hostObject()
	case tagTransferredBuffer, tagSharedBuffer, tagSharedObject, tagWasmModule, tagWasmMemory:
		return nil, fmt.Errorf("the value shares memory with the process that wrote it (tag %q), which cannot be stored", tag)
	}
	return nil, fmt.Errorf("unknown tag 0x%02x", tag)
}

// begin gives v its number.
func (d *decoder) begin(v any) {
	if d.objects == nil {
		d.objects = make([]any, 0, 4)
	}
	d.objects = append(d.objects, v)
}

func (d *decoder) reference() (any, error) {
	n, err := d.uint32()
	if err != nil {
		return nil, err
	}
	if uint64(n) >= uint64(len(d.objects)) {
		return nil, fmt.Errorf("a reference to object %d of %d", n, len(d.objects))
	}
	if buffer, ok := d.objects[n].(*ArrayBuffer); ok {
		return d.viewAfter(buffer)
	}
	return d.objects[n], nil
}

func (d *decoder) plainObject() (*Object, error) {
	o := &Object{}
	d.begin(o)
	properties, err := d.properties(tagObjectEnd)
	if err != nil {
		return nil, err
	}
	SortProperties(properties)
	o.Properties = properties
	return o, nil
}

// properties reads keys and values up to the end tag and the number of properties after it.
func (d *decoder) properties(end byte) ([]Property, error) {
	var properties []Property
	var seen keySet
	for {
		tag, err := d.tag()
		if err != nil {
			return nil, err
		}
		if tag == end {
			return properties, d.expect(len(properties), "properties")
		}
		key, err := d.key(tag)
		if err != nil {
			return nil, err
		}
		if !seen.add(key, properties) {
			return nil, fmt.Errorf("the property %q occurs twice", key)
		}
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		if properties == nil {
			properties = make([]Property, 0, 8)
		}
		properties = append(properties, Property{key, v})
	}
}

// key reads a property's key: a string, or a number that stands for one.
func (d *decoder) key(tag byte) (string, error) {
	if tag != tagInt32 && tag != tagUint32 && tag != tagDouble {
		return d.text(tag)
	}
	f, err := d.number(tag)
	if err != nil {
		return "", err
	}
	return FormatNumber(positiveZero(f).(float64)), nil
}

// expect reads a count and compares it with the one that was found.
func (d *decoder) expect(found int, what string) error {
	n, err := d.uint32()
	if err == nil && uint64(n) != uint64(found) {
		err = fmt.Errorf("%d %s where there should be %d", found, what, n)
	}
	return err
}

func (d *decoder) mapObject() (*Map, error) {
	m := &Map{}
	d.begin(m)
	keysAndValues, err := d.list(tagMapEnd)
	if err != nil {
		return nil, err
	}
	if len(keysAndValues)%2 == 1 {
		return nil, formatError("a Map with a key without a value")
	}
	entries := make([]MapEntry, 0, len(keysAndValues)/2)
	for pair := range slices.Chunk(keysAndValues, 2) {
		entries = append(entries, MapEntry{pair[0], pair[1]})
	}
	*m = *NewMap(entries...)
	return m, nil
}

func (d *decoder) setObject() (*Set, error) {
	s := &Set{}
	d.begin(s)
	values, err := d.list(tagSetEnd)
	if err != nil {
		return nil, err
	}
	*s = *NewSet(values...)
	return s, nil
}

// list reads values up to the end tag and the number of values after it.
func (d *decoder) list(end byte) ([]any, error) {
	var values []any
	for {
		tag, err := d.tag()
		if err != nil {
			return nil, err
		}
		if tag == end {
			return values, d.expect(len(values), "values")
		}
		v, err := d.tagged(tag)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
}

func (d *decoder) date() (*Date, error) {
	millis, err := d.double()
	date := &Date{clipDate(millis)}
	d.begin(date)
	return date, err
}

func (d *decoder) boxed(tag byte) (*Boxed, error) {
	b := &Boxed{}
	d.begin(b)
	var err error
	switch tag {
	case tagTrueBox, tagFalseBox:
		b.Value = tag == tagTrueBox
	case tagNumberBox:
		b.Value, err = d.double()
	case tagBigintBox:
		var n *big.Int
		n, err = d.bigint()
		b.Value = n
	case tagStringBox:
		b.Value, err = d.taggedText()
	}
	return b, err
}

// regExpFlags are the flags in the order of their bits. V8's bit for its linear engine has no letter here.
const regExpFlags = "gimyus?dv"

func (d *decoder) regExp() (*RegExp, error) {
	r := &RegExp{}
	d.begin(r)
	source, err := d.taggedText()
	if err != nil {
		return nil, err
	}
	bits, err := d.uint32()
	if err != nil {
		return nil, err
	}
	for i, letter := range []byte(regExpFlags) {
		if bits>>i&1 == 1 {
			r.Flags += string(letter)
		}
	}
	r.Source, r.Flags = source, sortFlags(r.Flags)
	if bits>>len(regExpFlags) != 0 {
		return nil, fmt.Errorf("a RegExp with unknown flags 0x%x", bits)
	}
	return r, CheckRegExpFlags(r.Flags)
}

func sortFlags(flags string) string {
	b := []byte(flags)
	slices.Sort(b)
	return string(b)
}

func (d *decoder) errorObject() (*Error, error) {
	e := &Error{Name: "Error"}
	d.begin(e)
	for {
		b, err := d.bytes(1)
		if err != nil {
			return nil, err
		}
		switch tag := b[0]; tag {
		case errorEnd:
			return e, nil
		case errorMessage:
			e.Message, err = d.taggedText()
		case errorStack:
			d.foreign = d.foreign || e.HasCause
			e.Stack, err = d.taggedText()
		case errorCause:
			e.HasCause = true
			e.Cause, err = d.value()
		default:
			if e.Name = errorName(tag); e.Name == "" {
				err = fmt.Errorf("unknown tag 0x%02x in an Error", tag)
			}
		}
		if err != nil {
			return nil, err
		}
	}
}

// keySet finds keys that occur twice, without a map while there are few.
type keySet struct {
	m map[string]struct{}
}

const fewKeys = 16

// add reports whether key is new. The properties before it were all added.
func (s *keySet) add(key string, before []Property) bool {
	if len(before) < fewKeys {
		return !slices.ContainsFunc(before, func(p Property) bool { return p.Key == key })
	}
	if s.m == nil {
		s.m = make(map[string]struct{}, 2*fewKeys)
		for _, p := range before {
			s.m[p.Key] = struct{}{}
		}
	}
	if _, ok := s.m[key]; ok {
		return false
	}
	s.m[key] = struct{}{}
	return true
}
