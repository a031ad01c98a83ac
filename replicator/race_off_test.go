//go:build !race

package replicator

// Raced says that the race detector is on.
const Raced = false
