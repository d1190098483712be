// Package kv is the vocabulary of Millpond: keys, values, versionstamps, atomics, entries, limits and the errors that a
// user can meet. It is pure: no clock, no network, no disk.
//
// A [Key] is a list of typed parts, as a program writes it. Everything inside Millpond carries its encoding, an
// [EncodedKey], whose byte order is the order of keys. The encoding is Deno KV's, so that stock Deno, Node and Python
// clients share data with Go programs.
package kv
