package v8

// skip passes over the value behind its tag, and counts the objects in it.
func (u *unmarshaler) skip(tag byte) error {
	switch tag {
	case tagUndefined, tagNull, tagTrue, tagFalse:
		return nil
	case tagInt32, tagUint32:
		_, err := u.uint32()
		return err
	case tagDouble:
		_, err := u.bytes(8)
		return err
	case tagBigint:
		return u.skipBigint()
	case tagLatin1, tagUTF16, tagUTF8:
		_, err := u.sized()
		return err
	case tagReference:
		if _, err := u.uint32(); err != nil {
			return err
		}
		return u.skipView()
	}
	if err := u.enter(1); err != nil {
		return err
	}
	defer u.leave(1)
	return u.skipObject(tag)
}

func (u *unmarshaler) skipValue() error {
	tag, err := u.next()
	if err != nil {
		return err
	}
	return u.skip(tag)
}

func (u *unmarshaler) skipObject(tag byte) error {
	u.count++
	switch tag {
	case tagObject:
		return u.skipUntil(tagObjectEnd, 1)
	case tagMap:
		return u.skipUntil(tagMapEnd, 1)
	case tagSet:
		return u.skipUntil(tagSetEnd, 1)
	case tagDense:
		return u.skipDense()
	case tagSparse:
		if _, err := u.uint32(); err != nil {
			return err
		}
		return u.skipUntil(tagSparseEnd, 2)
	case tagDate, tagNumberBox:
		_, err := u.bytes(8)
		return err
	case tagTrueBox, tagFalseBox:
		return nil
	case tagBigintBox:
		return u.skipBigint()
	case tagStringBox:
		return u.skipValue()
	case tagRegExp:
		if err := u.skipValue(); err != nil {
			return err
		}
		_, err := u.uint32()
		return err
	case tagError:
		return u.skipError()
	case tagBuffer, tagResizable, tagHostObject:
		u.count--
		_, err := u.binary(tag)
		return err
	}
	return formatError(tagName(tag) + " cannot be read")
}

func (u *unmarshaler) skipBigint() error {
	n, err := u.uint32()
	if err == nil {
		_, err = u.bytes(uint64(n >> 1))
	}
	return err
}

// skipUntil passes over values up to the end tag and the numbers after it.
func (u *unmarshaler) skipUntil(end byte, numbers int) error {
	for {
		tag, err := u.next()
		if err != nil {
			return err
		}
		if tag == end {
			return u.skipNumbers(numbers)
		}
		if err := u.skip(tag); err != nil {
			return err
		}
	}
}

func (u *unmarshaler) skipNumbers(n int) error {
	for range n {
		if _, err := u.uint32(); err != nil {
			return err
		}
	}
	return nil
}

func (u *unmarshaler) skipDense() error {
	n, err := u.uint32()
	if err != nil {
		return err
	}
	for range n {
		tag, err := u.next()
		if err != nil {
			return err
		}
		if tag == tagHole {
			continue
		}
		if err := u.skip(tag); err != nil {
			return err
		}
	}
	return u.skipUntil(tagDenseEnd, 2)
}

func (u *unmarshaler) skipError() error {
	for {
		b, err := u.bytes(1)
		if err != nil {
			return err
		}
		switch b[0] {
		case errorEnd:
			return nil
		case errorMessage, errorStack, errorCause:
			if err := u.skipValue(); err != nil {
				return err
			}
		}
	}
}

// skipView passes over the view that may follow a reference to a buffer.
func (u *unmarshaler) skipView() error {
	before := u.pos
	if tag, err := u.tag(); err != nil || tag != tagView {
		u.pos = before
		return nil
	}
	u.count++
	if _, err := u.bytes(1); err != nil {
		return err
	}
	for range 2 {
		if _, err := u.varint(); err != nil {
			return err
		}
	}
	if u.version < 14 {
		return nil
	}
	_, err := u.uint32()
	return err
}

// binary reads an ArrayBuffer, a view or an object of the runtime, behind its tag.
func (u *unmarshaler) binary(tag byte) (any, error) {
	if tag == tagHostObject {
		return u.host()
	}
	u.count++
	v, err := u.bufferOrView(tag)
	if _, ok := v.(*View); ok {
		u.count++
	}
	u.objects = u.objects[:0] // they are in whole
	return v, err
}

func (u *unmarshaler) host() (any, error) {
	before, number := u.pos, u.count
	u.count++
	class, err := u.uint32()
	if err != nil {
		return nil, err
	}
	if class != denoHostObject {
		u.pos = before
		v, err := u.hostObject()
		u.objects = u.objects[:0]
		return v, err
	}
	if err := u.skipValue(); err != nil {
		return nil, err
	}
	return u.object(number)
}

// object returns the object with that number as Decode does.
func (u *unmarshaler) object(number int) (any, error) {
	objects, err := u.whole()
	if err != nil {
		return nil, err
	}
	if number >= len(objects) {
		return nil, errCutOff
	}
	return objects[number], nil
}
