//go:build race

package test

// The server is built with the race detector when the tests are: it then watches the real server under real load, and
// makes a server that saw a race exit with 66, which fails the test that stops it.
const raceFlag = "-race"
