package v8

// Same is same, for tests.
var Same = same
