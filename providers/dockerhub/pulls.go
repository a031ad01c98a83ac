package dockerhub

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/transship/transship/providers"
)

const (
	reserve   = 0.10             // of the pulls, unless the policy says otherwise
	lookAgain = 10 * time.Minute // between looks whether there is more again: a HEAD, which is no pull
	anyWindow = 6 * time.Hour    // of a refusal that tells of none
)

// pulls is what is known of how many manifests we may still get: the host's word of
// when nothing was on its way, without what was begun since. Safe for concurrent use.
type pulls struct {
	share float64       // for others
	gate  chan struct{} // held while somebody looks

	mu       sync.Mutex
	bounded  bool // the host has told a limit
	limit    int
	left     int // of all, as the host said when none was on its way
	begun    int // since then
	least    int // that the host has said since then; MaxInt if it said nothing
	window   time.Duration
	flying   int       // that were begun and not answered
	answers  int       // to those that have not come to their end
	first    time.Time // when our window began: with the first pull that we know of
	until    time.Time // when there may be more; zero while there is some
	lookedAt time.Time
}

func newPulls(share *float64) *pulls {
	p := &pulls{share: reserve, least: math.MaxInt, gate: make(chan struct{}, 1)}
	if share != nil {
		p.share = min(max(*share, 0), 1)
	}
	return p
}

// answered reads what an answer of the registry tells.
func (p *pulls) answered(op string, h http.Header) {
	if op != providers.OpGetManifest && op != providers.OpHeadManifest {
		return
	}
	limit, window, ok := readRate(h.Get("Ratelimit-Limit"))
	left, _, told := readRate(h.Get("Ratelimit-Remaining"))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lookedAt = time.Now()
	if op == providers.OpGetManifest && p.flying > 0 {
		p.flying, p.answers = p.flying-1, p.answers+1
	}
	if !ok || !told {
		p.settle()
		return
	}
	p.said(left)
	p.bounded, p.limit = true, limit
	if window > 0 {
		p.window = window
	}
	if p.ours() > 0 {
		p.until = time.Time{}
	}
}

// said takes the host's word. It may count pulls that are on their way, or not yet;
// what it counts beyond all that were begun, others have pulled. The lock is held.
func (p *pulls) said(left int) {
	if p.bounded {
		p.left = min(p.left, left+p.begun)
	} else {
		p.left, p.begun = left, p.flying
	}
	p.least = min(p.least, left) // answers overtake each other
	p.settle()
}

// settle believes the host to the letter once nothing is on its way. The lock is held.
func (p *pulls) settle() {
	if p.flying == 0 && p.least < math.MaxInt {
		p.left, p.begun, p.least = p.least, 0, math.MaxInt
	}
}

// readRate reads "100;w=21600": how many in how long.
func readRate(text string) (n int, window time.Duration, ok bool) {
	count, rest, _ := strings.Cut(text, ";")
	n, err := strconv.Atoi(strings.TrimSpace(count))
	if err != nil || n < 0 || n > math.MaxInt32 {
		return 0, 0, false
	}
	for part := range strings.SplitSeq(rest, ";") {
		if seconds, found := strings.CutPrefix(strings.TrimSpace(part), "w="); found {
			s, err := strconv.Atoi(seconds)
			if err == nil && s > 0 && s <= 30*24*3600 {
				window = time.Duration(s) * time.Second
			}
		}
	}
	return n, window, true
}

// kept is how many of the limit are left to others.
func (p *pulls) kept() int { return int(math.Ceil(float64(p.limit) * p.share)) }

// ours is how many we may begin now. The lock is held.
func (p *pulls) ours() int { return p.left - p.kept() - p.begun }

// now is what Caps says: nil while nothing is known, or where there is no bound.
func (p *pulls) now() *providers.Pulls {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.bounded {
		return nil
	}
	return &providers.Pulls{Limit: p.limit, Window: p.window, Reserve: p.kept(), Left: max(0, p.ours()), Until: p.until}
}

// due reports whether it is time to look how many there are: nothing was ever told,
// or what we wait for may have come.
func (p *pulls) due() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	return p.lookedAt.IsZero() || !p.until.IsZero() && (now.After(p.until) || now.Sub(p.lookedAt) >= lookAgain)
}

// looked notes that somebody has looked, whatever came of it.
func (p *pulls) looked() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lookedAt = time.Now()
	if p.lookedAt.After(p.until) {
		p.until = time.Time{}
	}
}

// take begins a pull, or returns until when to wait.
func (p *pulls) take() (until time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch {
	case p.bounded && p.ours() <= 0:
		return p.wait(now, 0), false
	case now.Before(p.until):
		return p.until, false
	}
	if p.first.IsZero() || p.window > 0 && now.Sub(p.first) >= p.window {
		p.first = now
	}
	p.flying, p.begun = p.flying+1, p.begun+1
	return time.Time{}, true
}

// wait says that nothing is left, and until when: as the host asks; or when the
// window is over that began with our first pull; or a whole one from now, where
// others have used it up. The lock is held.
func (p *pulls) wait(now time.Time, after time.Duration) time.Time {
	if now.Before(p.until) && after == 0 {
		return p.until
	}
	window := p.window
	if window == 0 {
		window = anyWindow
	}
	from := p.first
	if from.IsZero() || now.Sub(from) >= window {
		from = now
	}
	p.until = from.Add(window)
	if after > 0 {
		p.until = now.Add(after)
	}
	p.until = p.until.Round(time.Second)
	return p.until
}

// done ends a pull that was begun.
func (p *pulls) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answers > 0 {
		p.answers--
		return
	}
	p.flying, p.begun = max(0, p.flying-1), max(0, p.begun-1)
	p.settle()
}

// spent notes that the host refused a pull, and returns until when to wait.
func (p *pulls) spent(after time.Duration) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wait(time.Now(), after)
}

// says tells what is used up.
func (p *pulls) says() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.bounded {
		return errors.New("no pull is left")
	}
	return fmt.Errorf("%d of %d pulls in %v are left, and %d are kept for others", p.left, p.limit, p.window, p.kept())
}

const hintPulls = "run again then, it goes on where it stopped; an account with more pulls, or a smaller reserve of this registry, gets further in one go"

// pull begins to get a manifest. Before the first one the host is asked by a HEAD
// how many there are; so it is while we wait, every ten minutes.
func (r *Registry) pull(ctx context.Context, repo, ref string) error {
	r.look(ctx, repo, ref)
	if err := context.Cause(ctx); err != nil {
		return err
	}
	until, ok := r.pulls.take()
	if ok {
		return nil
	}
	return &providers.Error{Kind: providers.Waiting, Op: "get manifest", Ref: r.at(repo, ref), Until: until, Hint: hintPulls,
		Err: fmt.Errorf("%w; more from %s on", r.pulls.says(), until.UTC().Format(time.RFC3339))}
}

// look asks how many pulls there are, if that is due; whoever comes meanwhile waits
// for the answer. That it fails says nothing: the request itself will tell.
func (r *Registry) look(ctx context.Context, repo, ref string) {
	if !r.pulls.due() {
		return
	}
	select {
	case r.pulls.gate <- struct{}{}:
		defer func() { <-r.pulls.gate }()
	case <-ctx.Done():
		return
	}
	if !r.pulls.due() {
		return // somebody else's look has just ended
	}
	_, _ = r.Registry.Head(ctx, repo, ref)
	if context.Cause(ctx) == nil {
		r.pulls.looked()
	}
}

// refused adds until when to wait to a pull that the host refused.
func (r *Registry) refused(err error) error {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != providers.Waiting || !e.Until.IsZero() {
		return err
	}
	is := *e
	is.Until = r.pulls.spent(e.After)
	is.Err = fmt.Errorf("%w; more from %s on", e.Err, is.Until.UTC().Format(time.RFC3339))
	return &is
}
