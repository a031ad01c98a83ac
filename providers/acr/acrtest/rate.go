package acrtest

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/transship/transship/providers/registrytest"
)

// A window is a minute in which requests are counted.
type window struct {
	ends  time.Time
	count int
}

// rate counts a request, for the registry and for who sends it.
func (s *Server) rate(client string, write, referrers bool) *registrytest.Refusal {
	q := s.config()
	if referrers {
		if f := s.count("referrers", q.ListReferrers); f != nil {
			return f
		}
	}
	kind, most := "reads", q.Reads
	if write {
		kind, most = "writes", q.Writes
	}
	if f := s.count(kind, most); f != nil {
		return f
	}
	return s.count(kind+" of "+client, most/2)
}

// count counts one of most in a window, and says how long that one lasts still.
func (s *Server) count(bucket string, most int) *registrytest.Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if most <= 0 {
		return nil
	}
	now := time.Now()
	w := s.windows[bucket]
	if w == nil || !now.Before(w.ends) {
		w = &window{ends: now.Add(s.quirks.Window)}
		s.windows[bucket] = w
	}
	if w.count++; w.count <= most {
		return nil
	}
	f := refuse(http.StatusTooManyRequests, "TOOMANYREQUESTS", "Too many requests. Please retry after some time.", nil)
	f.Header = http.Header{"Retry-After": {strconv.Itoa(int(math.Ceil(w.ends.Sub(now).Seconds())))}}
	return f
}
