package app

import (
	"bytes"
	"strings"
	"sync"
	"testing"
)

// A screen is a buffer that two may write to.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

// TestWordsAboveBars: a terminal shows ^C where the cursor is, and the bars are
// cleared from its column on.
func TestWordsAboveBars(t *testing.T) {
	var tty screen
	b := showBars(&tty, newMeter())
	if _, err := b.Write([]byte("stopping\n")); err != nil {
		t.Fatal(err)
	}
	b.close()
	before, _, found := strings.Cut(tty.buf.String(), "stopping\n")
	if !found || !strings.Contains(before, "\r") {
		t.Errorf("the screen got %q", tty.buf.String())
	}
}
