//go:build !linux

package faults

import "testing"

func TestFaults(t *testing.T) {
	t.Skip("SKIPPED: the faults take Linux's namespaces; nothing here shows what a cluster survives")
}
