// Package v8 reads and writes the format in which V8 stores JavaScript values (its ValueSerializer), the format of nearly
// every value that Deno and Node keep in Deno KV.
package v8
