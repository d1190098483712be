package client

import "testing"

// StartNATS returns a database in a cluster of a writer and two readers.
func StartNATS(t *testing.T) *DB {
	db, _ := startNATS(t)
	return db
}
