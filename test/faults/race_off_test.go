//go:build linux && !race

package faults

const raceFlag = ""
