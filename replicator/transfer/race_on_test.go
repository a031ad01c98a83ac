//go:build race

package transfer

// raced: the race detector is on, and memory is not what it is without.
const raced = true
