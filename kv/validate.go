package kv

// deadlineSlack is what a message's deadline may lie beyond MaxQueueDelay: clients compute deadlines from their own
// clocks, and a day covers a clock that is set to local time instead of UTC.
const deadlineSlack = Millis(24 * 3_600_000)

// Validate reports with ErrInvalid the first rule that a breaks, in a sentence that names the index (from 0) of the
// check, mutation or enqueue, its size and the limit. It holds everything that can be told without looking at the
// database: the bounds of limits.go, keys that decode, values that fit their encodings and mutation types, and times. Of
// V8 values and payloads only the header is looked at. Whether a V8 operand is a number is told when the atomic is decided.
//
// raw accepts keys that are not encodings of a Key, and V8 values and payloads without a header, for protocol test suites
// that write such. Stock Deno throws on every read that returns one.
//
// What a valid atomic writes may be larger than a itself: a suffixed key by VersionstampSuffixSize, and the sum of two
// V8 bigints is as large as the larger of them, up to MaxValueSize.
func (a *Atomic) Validate(now Millis, raw bool) error {
	if err := ValidateCounts(len(a.Checks), len(a.Mutations)+len(a.Enqueues)); err != nil {
		return err
	}
	for i := range a.Checks {
		// As in denokv: every key that can be read can be checked.
		if err := validateKey(a.Checks[i].Key, MaxReadKeySize, raw); err != nil {
			return Invalidf("check %d: %v", i, err)
		}
	}
	for i := range a.Mutations {
		if err := a.Mutations[i].validate(raw); err != nil {
			return Invalidf("mutation %d: %v", i, err)
		}
	}
	for i := range a.Enqueues {
		if err := a.Enqueues[i].validate(now, raw); err != nil {
			return Invalidf("enqueue %d: %v", i, err)
		}
	}
	if n := a.Size(); n > MaxAtomicSize {
		return Invalidf("the total size of the atomic write is too large: %d bytes; at most %d are allowed", n, MaxAtomicSize)
	}
	return nil
}

// ValidateCounts reports with ErrInvalid if an atomic has too many checks, or mutations and enqueues together. Like the
// other counts here it is part of the validation of the whole, and apart for those who count before they decode.
func ValidateCounts(checks, changes int) error {
	if err := validateCount("checks included in atomic write", checks, MaxChecks); err != nil {
		return err
	}
	return validateCount("mutations / enqueues included in atomic write", changes, MaxMutations)
}

// ValidateRangeCount reports with ErrInvalid if a read has too many ranges.
func ValidateRangeCount(n int) error {
	return validateCount("read ranges requested in one read request", n, MaxRanges)
}

// ValidateWatchCount reports with ErrInvalid if a watch has too many keys.
func ValidateWatchCount(n int) error {
	return validateCount("keys watched in a single watch request", n, MaxWatchedKeys)
}

func validateCount(what string, n, limit int) error {
	if n > limit {
		return Invalidf("too many %s: %d; at most %d are allowed", what, n, limit)
	}
	return nil
}

// Size returns the bytes of a that count towards MaxAtomicSize: the keys of checks and mutations, values, payloads,
// undelivered keys, and 4 for each backoff step.
func (a *Atomic) Size() int {
	n := 0
	for i := range a.Checks {
		n += len(a.Checks[i].Key)
	}
	for i := range a.Mutations {
		n += len(a.Mutations[i].Key) + len(a.Mutations[i].Value.Data)
	}
	for i := range a.Enqueues {
		e := &a.Enqueues[i]
		n += len(e.Payload) + 4*len(e.BackoffSchedule)
		for _, key := range e.KeysIfUndelivered {
			n += len(key)
		}
	}
	return n
}

func validateKey(key EncodedKey, limit int, raw bool) error {
	if key == "" {
		return Invalidf("the key is empty; a key needs at least one part")
	}
	if len(key) > limit {
		return Invalidf("the key is %d bytes and exceeds the key size limit of %d", len(key), limit)
	}
	if raw {
		return nil
	}
	return key.Check()
}

func (m *Mutation) validate(raw bool) error {
	if err := validateKey(m.Key, MaxWriteKeySize, raw); err != nil {
		return err
	}
	if err := validateMillis("expiry", m.ExpireAt); err != nil {
		return err
	}
	if err := m.validateBounds(); err != nil {
		return err
	}
	switch m.Type {
	case MutationDelete:
		if m.Value.Encoding != 0 || len(m.Value.Data) > 0 {
			return Invalidf("a delete has no value")
		}
		return nil
	case MutationSet, MutationSetSuffix:
		if m.Value.Encoding == EncodingV8 && !raw {
			if err := validateV8("value", m.Value.Data); err != nil {
				return err
			}
		}
	case MutationSum:
		if m.Value.Encoding == EncodingBytes {
			return Invalidf("Some of the parameters are not valid V8 values: a 'sum' takes an LE64 value, or a number or bigint in V8")
		}
	case MutationMin, MutationMax:
		if m.Value.Encoding != EncodingLE64 {
			return Invalidf("Failed to perform '%s' mutation on a non-U64 operand", m.Type)
		}
	default:
		return Invalidf("the mutation type %d is unknown; use set (1), delete (2), sum (3), max (4), min (5) or set with a "+
			"versionstamp suffix (9)", uint8(m.Type))
	}
	return m.Value.validate()
}

// validateBounds checks the bounds of a sum. An empty bound is none, as on the wire.
func (m *Mutation) validateBounds() error {
	if len(m.SumMin) == 0 && len(m.SumMax) == 0 && !m.SumClamp {
		return nil
	}
	if m.Type != MutationSum || m.Value.Encoding != EncodingV8 {
		return Invalidf("min, max and clamp are only for a 'sum' of a V8 value")
	}
	if n := max(len(m.SumMin), len(m.SumMax)); n > MaxValueSize {
		return Invalidf("a bound of the sum is %d bytes and exceeds the value size limit of %d", n, MaxValueSize)
	}
	return nil
}

// The versions of V8's format that package v8 reads.
const (
	oldestV8 = 13
	newestV8 = 16
)

// validateV8 checks what clients look at first: 0xFF, the format's version, and that a value follows.
func validateV8(what string, data []byte) error {
	switch {
	case len(data) < 3:
		return Invalidf("the %s is %d bytes; a V8 value has at least 3", what, len(data))
	case data[0] != 0xff:
		return Invalidf("the %s starts with 0x%02x; a V8 value starts with 0xff", what, data[0])
	case data[1] < oldestV8 || data[1] > newestV8:
		return Invalidf("the %s has V8's format version %d; the versions from %d to %d are known", what, data[1], oldestV8, newestV8)
	}
	return nil
}

func (v Value) validate() error {
	switch v.Encoding {
	case EncodingV8, EncodingBytes:
	case EncodingLE64:
		if n := len(v.Data); n != 8 {
			return Invalidf("the LE64 value is %d bytes; it must be exactly 8", n)
		}
	default:
		return Invalidf("the value encoding %d is unknown; use V8 (1), LE64 (2) or bytes (3)", uint8(v.Encoding))
	}
	if n := len(v.Data); n > MaxValueSize {
		return Invalidf("the value is %d bytes and exceeds the value size limit of %d", n, MaxValueSize)
	}
	return nil
}

func (e *Enqueue) validate(now Millis, raw bool) error {
	if n := len(e.Payload); n > MaxValueSize {
		return Invalidf("the payload is %d bytes and exceeds the value size limit of %d", n, MaxValueSize)
	}
	if !raw {
		if err := validateV8("payload", e.Payload); err != nil {
			return err
		}
	}
	if err := validateMillis("deadline", e.Deadline); err != nil {
		return err
	}
	if latest := now + MaxQueueDelay + deadlineSlack; e.Deadline > latest {
		return Invalidf("the deadline %s is more than 30 days ahead", e.Deadline)
	}
	if err := validateCount("dead letter keys for a single queue message", len(e.KeysIfUndelivered), MaxUndeliveredKeys); err != nil {
		return err
	}
	for i, key := range e.KeysIfUndelivered {
		if err := validateKey(key, MaxWriteKeySize, raw); err != nil {
			return Invalidf("dead letter key %d: %v", i, err)
		}
	}
	if err := validateCount("backoff intervals for a single queue message", len(e.BackoffSchedule), MaxBackoffSteps); err != nil {
		return err
	}
	for i, ms := range e.BackoffSchedule {
		if ms > MaxBackoff {
			return Invalidf("backoff interval %d is %d ms and exceeds the maximum allowed backoff interval of %d", i, ms, MaxBackoff)
		}
	}
	return nil
}

func validateMillis(what string, m Millis) error {
	if m < 0 || m > MaxMillis {
		return Invalidf("the %s is %d ms since 1970; it must be from 0 to %d", what, int64(m), int64(MaxMillis))
	}
	return nil
}

// ValidateRanges reports with ErrInvalid the first rule that a read of these ranges breaks, naming the index (from 0) of
// the range. No ranges at all are a valid read without results, and so is a range that ends where it starts. Bounds need
// not be encodings of a key.
func ValidateRanges(ranges []Range) error {
	if err := ValidateRangeCount(len(ranges)); err != nil {
		return err
	}
	total := 0
	for i, r := range ranges {
		if n := max(len(r.Start), len(r.End)); n > MaxReadKeySize {
			return Invalidf("range %d: the key is %d bytes and exceeds the key size limit of %d", i, n, MaxReadKeySize)
		}
		if r.Start > r.End {
			return Invalidf("range %d: start key is greater than end key", i)
		}
		if r.Limit < 1 {
			return Invalidf("range %d: the limit is %d; it must be at least 1", i, r.Limit)
		}
		if r.Limit > MaxReadEntries-total { // no overflow
			return Invalidf("range %d: the total number of entries requested across read ranges is too large; at most %d are allowed",
				i, MaxReadEntries)
		}
		total += r.Limit
	}
	return nil
}

// ValidateWatch reports with ErrInvalid if the keys cannot be watched: none or too many of them, or one that is too
// large. A watched key need not be the encoding of a key; the empty one is allowed, since stock Deno watches it.
func ValidateWatch(keys []EncodedKey) error {
	if len(keys) == 0 {
		return Invalidf("provide at least one key to watch")
	}
	if err := ValidateWatchCount(len(keys)); err != nil {
		return err
	}
	for i, key := range keys {
		if n := len(key); n > MaxReadKeySize {
			return Invalidf("watched key %d: the key is %d bytes and exceeds the key size limit of %d", i, n, MaxReadKeySize)
		}
	}
	return nil
}

// ValidDatabaseName reports whether a database may have that name: 1 to MaxDatabaseName of a-z, 0-9, _ and -.
func ValidDatabaseName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return len(name) >= 1 && len(name) <= MaxDatabaseName
}
