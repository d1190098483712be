package kv

// The bounds of a request: Deno KV's, so that what stock clients accept is accepted here (denokv proto/limits.rs; the
// number of checks is the client's, deno ext/kv/config.rs). Sizes are in bytes.
const (
	MaxWriteKeySize    = 2048
	MaxReadKeySize     = MaxWriteKeySize + 1 // the end of a range that starts at the largest key
	MaxValueSize       = 65536               // values and payloads alike
	MaxRanges          = 10                  // of one read
	MaxReadEntries     = 1000                // the sum of a read's limits
	MaxWatchedKeys     = 10
	MaxChecks          = 100
	MaxMutations       = 1000                // mutations and enqueues together
	MaxAtomicSize      = 819200              // keys of checks and mutations, values, payloads, undelivered keys, 4 a backoff step
	MaxUndeliveredKeys = 10                  // of one message
	MaxBackoffSteps    = 10                  // of one message
	MaxBackoff         = 3_600_000           // milliseconds
	MaxQueueDelay      = 30 * 24 * 3_600_000 // milliseconds
	MaxDatabaseName    = 64                  // Millpond's own
	MaxMillis          = Millis(8_640_000_000_000_000)
)

// VersionstampSuffixSize is what a versionstamp suffix adds to a key: a tag, 20 hex digits and an end byte.
const VersionstampSuffixSize = 22
