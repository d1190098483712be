// Package v8 reads and writes the format in which V8 stores JavaScript values (its ValueSerializer), the format of nearly
// every value that Deno and Node keep in Deno KV. There are two ways:
//
//   - [Marshal] and [Unmarshal] are for programs: a Go struct and a JavaScript object are the same data, as with encoding/json.
//   - [Encode] and [Decode] keep every JavaScript value as it is, with what Go has no types for.
//
// Both read the versions 13 to 16 and write version 15. The Go values of Encode and Decode are
//
//	Undefined, nil         undefined, null
//	bool                   a boolean
//	float64                a number, also a whole one
//	*big.Int               a bigint
//	string                 a string
//	*Object, *Array        a plain object, an array
//	*Map, *Set             a Map, a Set
//	*Date, *RegExp         a Date, a regular expression
//	*Error                 an Error
//	*ArrayBuffer, *View    an ArrayBuffer, a typed array or DataView
//	*Boxed                 a primitive in an object, such as new Number(1)
//	*Host                  a Blob, CryptoKey or the like, by Deno's description
//	*Opaque                a value with a host object of another program, whole and as it was written
//
// A host object is what the program around V8 wrote, in a way of its own and without its length. Three kinds occur. Deno's
// are descriptions, kept by value as a *Host. Those of Node's v8.serialize are Buffers, typed arrays and DataViews, read as the
// *View that they are. All others come from programs that write them by themselves; since nobody else knows where one ends,
// the whole value is kept, as an *Opaque, which is written again byte for byte. They are known by their class, a number that
// begins them and that Node does not use (14 and up); with one that it uses they are taken for Node's.
//
// What JavaScript tells apart by identity is a pointer, so shared objects and cycles keep their shape. A bigint and a
// string are values; that they are shared is not seen.
//
// A string can hold lone surrogates, which UTF-8 cannot. They are kept: the Go string is WTF-8, in which a lone surrogate
// takes three bytes (ed a0..bf 80..bf). Every other string is plain UTF-8.
package v8
