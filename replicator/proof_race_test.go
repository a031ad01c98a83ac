//go:build race

package replicator_test

// usualSeeds is fewer under the race detector, which is ten times as slow.
const usualSeeds = 30

// raced says that the race detector is on.
const raced = true
