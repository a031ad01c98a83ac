package transfer

import (
	"fmt"
	"sync"
	"time"

	"github.com/transship/transship/providers"
)

const (
	tripAfter = 3 // refusals in a row
	tripFor   = time.Minute
)

// trips keeps a target that refuses us from being asked for every image again:
// after three images in a row that a repository denied, or that failed for a
// quota, its further images fail with the same error for a minute; after three
// such repositories in a row, those of the whole host.
type trips struct {
	host string
	now  func() time.Time

	mu    sync.Mutex
	repos map[string]*trip
	all   trip
}

type trip struct {
	count int
	err   error
	until time.Time
}

func newTrips(host string, now func() time.Time) *trips {
	return &trips{host: host, now: now, repos: map[string]*trip{}}
}

// check returns the error for which nothing more is tried in repo.
func (t *trips) check(repo string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all.open(t.now()) {
		return onSide(Target, fmt.Errorf("not tried, because %s refuses us: %w", t.host, t.all.err))
	}
	if r := t.repos[repo]; r != nil && r.open(t.now()) {
		return onSide(Target, fmt.Errorf("not tried, because %s/%s refuses us: %w", t.host, repo, r.err))
	}
	return nil
}

func (t *trip) open(now time.Time) bool { return t.count >= tripAfter && now.Before(t.until) }

// note counts an image's result. Only a refusal by the target counts, and
// anything that shows that the target takes us starts the count anew.
func (t *trips) note(repo string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		delete(t.repos, repo)
		t.all = trip{}
		return
	}
	kind := providers.KindOf(err)
	if sideOf(err) != Target || kind != providers.Denied && kind != providers.Quota {
		return
	}
	r := t.repos[repo]
	if r == nil {
		r = &trip{}
		t.repos[repo] = r
	}
	r.hit(err, t.now())
	if r.count == tripAfter {
		t.all.hit(err, t.now())
	}
}

func (t *trip) hit(err error, now time.Time) {
	if t.count >= tripAfter && !now.Before(t.until) {
		t.count = 0
	}
	t.count++
	t.err, t.until = err, now.Add(tripFor)
}
