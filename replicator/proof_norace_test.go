//go:build !race

package replicator_test

// usualSeeds is how many seeds TestSchedules runs.
const usualSeeds = 120

// raced says that the race detector is on.
const raced = false
