// Package literal shows the values of package v8 as JavaScript would write them, and reads such text, and with it JSON.
//
// Where JavaScript has no literal, the text is what Node and Deno print, or a constructor that looks like one:
//
//	[1, <2 empty items>, 4, name: "x"]                       an array with holes, with properties
//	<ref *1> { self: [Circular *1] }                         an object within itself; it cannot be read back
//	new Uint8Array([1, 2]).buffer                            an ArrayBuffer
//	new ArrayBuffer([1, 2], { maxByteLength: 8 })            a resizable one with its content
//	new TypeError("text", { cause: null, stack: "lines" })   an error with its stack
//	new Host({ type: "Blob" })                               an object of the runtime, by Deno's description
//	new Opaque("ff0f5c63")                                   the bytes of a value that only its writer can read, in hex
package literal
