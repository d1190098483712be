// Package test holds Millpond seen from outside: real binaries on real data directories, and the real clients in
// test/clients. Run it with `make test`, which installs the clients.
package test
