package app

import (
	"runtime/debug"
	"testing"
)

// Garbage grows to half of what is in use, unless GOGC says otherwise.
func TestThrifty(t *testing.T) {
	before := debug.SetGCPercent(77)
	defer debug.SetGCPercent(before)
	for _, tt := range []struct {
		gogc string
		want int
	}{{"100", 77}, {"", 50}} {
		t.Setenv("GOGC", tt.gogc)
		thrifty()
		if got := debug.SetGCPercent(77); got != tt.want {
			t.Errorf("with GOGC=%q garbage may grow by %d %%, want %d", tt.gogc, got, tt.want)
		}
	}
}
