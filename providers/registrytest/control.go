package registrytest

import "net/http"

// Quirks returns those in force.
func (s *Server) Quirks() Quirks { return *s.quirks.Load() }

// Set changes the quirks, for the requests that arrive from now on.
func (s *Server) Set(change func(*Quirks)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := *s.quirks.Load()
	change(&q)
	s.quirks.Store(&q)
}

// Before has f look at every request before it is served, from many goroutines
// at once; a Fault that it returns is the request's. nil takes the hook away.
func (s *Server) Before(f func(*http.Request, Class) *Fault) { s.before.Store(&f) }

// Next makes the next n requests of a class fail, before any rate has a say.
func (s *Server) Next(n int, class Class, fault Fault) { s.faults.plan(n, class, fault) }

// OnRequest calls f when the n-th request from now on, on any side, has arrived
// and before it is served; it is served once f returns.
func (s *Server) OnRequest(n int64, f func()) {
	s.log.mu.Lock()
	at := s.log.n + n
	s.log.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks[at] = append(s.hooks[at], f)
}

// Release lets everything go on that stalls without a time.
func (s *Server) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.released)
	s.released = make(chan struct{})
}

// Counts is what happened since the start or the last Reset. Requests that are
// being served are in Requests, not yet in the rest.
func (s *Server) Counts() Counts { return s.counts.snapshot() }

// ResetCounts begins the counts anew.
func (s *Server) ResetCounts() { s.counts.reset() }

// Log returns the last requests, at most 20,000, oldest first.
func (s *Server) Log() []Request { return s.log.all() }

// ExpireTokens makes every bearer token invalid, as if its time were over.
func (s *Server) ExpireTokens() { s.tokens.clear() }

// Create makes an empty repository.
func (s *Server) Create(repo string) { s.store.create(repo) }

// fire runs the hooks of the n-th request.
func (s *Server) fire(n int64) {
	s.mu.Lock()
	hooks := s.hooks[n]
	delete(s.hooks, n)
	s.mu.Unlock()
	for _, f := range hooks {
		f()
	}
}

// OpenUploads is how many uploads have begun and neither ended nor been given up.
func (s *Server) OpenUploads() int {
	s.uploads.mu.Lock()
	defer s.uploads.mu.Unlock()
	return len(s.uploads.open)
}
