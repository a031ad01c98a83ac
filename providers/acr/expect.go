package acr

import (
	"context"
	"time"
)

const (
	namesLife  = time.Hour // how long the repositories' names are not asked for again
	namesPages = 20        // of the catalog, at most: twenty thousand names
)

// expect has the registry's repositories share tokens: the catalog is read once an
// hour, as soon as a second repository is listed. Where it may not be read, each
// has a token of its own.
func (r *Registry) expect(ctx context.Context, repo string) {
	n := &r.names
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.first == "" || n.first == repo {
		n.first = repo
		return
	}
	if time.Now().Before(n.until) {
		return
	}
	pages := 0
	for page, err := range r.catalog(ctx) {
		if err != nil {
			if context.Cause(ctx) != nil {
				return
			}
			r.log.Debug("the repositories cannot be listed; each has a token of its own", "host", r.Host(), "err", err)
			break
		}
		r.Expect(page...)
		if pages++; pages == namesPages {
			break
		}
	}
	n.until = time.Now().Add(namesLife)
}

// learned notes that the catalog has been read to its end.
func (n *names) learned(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.until = now.Add(namesLife)
}
