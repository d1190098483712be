// Package faults hits a cluster of real processes, with real NATS servers on their own networks and disks, with everything
// that can go wrong, and holds what its clients saw to what the log says.
//
// It has tests only, and they need root on Linux: TestMain runs them again in namespaces of their own, so that their networks,
// mounts and processes are gone when they end, however they end.
package faults
