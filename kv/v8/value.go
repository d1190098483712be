package v8

// UndefinedType is the type of Undefined.
type UndefinedType struct{}

// Undefined is JavaScript's undefined. (Null is nil.)
var Undefined UndefinedType
