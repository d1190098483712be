//go:build !race

package faults

const raceFlag = ""
