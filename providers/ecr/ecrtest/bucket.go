package ecrtest

import "time"

// A bucket holds at most a second's worth of tokens.
type bucket struct {
	rate, tokens float64
	at           time.Time
}

// take takes a token, and reports whether there was one.
func (b *bucket) take(now time.Time) bool {
	b.tokens = min(max(b.rate, 1), b.tokens+b.rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// throttled reports whether an operation comes too fast.
func (s *Server) throttled(op string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	rate := s.quirks.Rates[op]
	if rate <= 0 {
		return false
	}
	b := s.buckets[op]
	if b == nil {
		b = &bucket{rate: rate, tokens: max(rate, 1), at: time.Now()}
		s.buckets[op] = b
	}
	return !b.take(time.Now())
}
