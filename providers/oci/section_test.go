package oci

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A sourceOf is asked for bytes, which come at so many a second.
type sourceOf struct {
	perSecond int64
	asked     []int
}

func (s *sourceOf) ReadAt(p []byte, _ int64) (int, error) {
	s.asked = append(s.asked, len(p))
	time.Sleep(time.Duration(int64(len(p)) * int64(time.Second) / s.perSecond))
	return len(p), nil
}

// What is slow to come goes to the host in small portions, so that it never waits
// long for a byte; what is quick goes in large ones.
func TestPortionsFollowTheSource(t *testing.T) {
	for _, tt := range []struct {
		perSecond int64
		want      []int
	}{
		{100 << 20, []int{32 << 10, 64 << 10, 128 << 10, 256 << 10, 256 << 10}},
		{1 << 20, []int{32 << 10, 64 << 10, 64 << 10}},
		{4 << 10, []int{32 << 10, 16 << 10, 8 << 10, 4 << 10, 4 << 10}},
	} {
		synctest.Test(t, func(t *testing.T) {
			src := &sourceOf{perSecond: tt.perSecond}
			s := newSection(src, 0, 1<<30)
			for range tt.want {
				if _, err := s.Read(make([]byte, bodyBuffer)); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(src.asked, tt.want) {
				t.Errorf("at %d bytes a second the source is asked for %d, want %d", tt.perSecond, src.asked, tt.want)
			}
		})
	}
}
