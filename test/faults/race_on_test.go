//go:build linux && race

package faults

// raceFlag is the flag of the go command that builds the binaries as the tests are built: with the race detector.
const raceFlag = "-race"
