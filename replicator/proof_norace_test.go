//go:build !race

package replicator_test

// usualSeeds is how many seeds TestSchedules runs.
const usualSeeds = 200
