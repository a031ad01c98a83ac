package survey

import (
	"context"
	"slices"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/replicator/plan"
)

const (
	// recheckShare is the part of a host's read limit that may go into questions
	// for the referrers of unchanged images.
	recheckShare = 0.1
	// recheckSpan is the longest time for which that part is saved up.
	recheckSpan = policy.DefaultRecheck
)

// A budget keeps those questions to their share of what one source host may be
// asked: what a pass does not get to ask, a later one does, and the period in
// which images are asked about again grows with their number. Safe for
// concurrent use.
type budget struct {
	rate float64 // questions a second; 0 is no limit

	mu            sync.Mutex
	left          float64 // questions; below zero it is in debt
	at            time.Time
	images        map[string]int // by repository
	granted, cost float64        // images, and questions for them
	paid          float64        // questions that take has charged in advance
}

// take allows the questions about one image, if enough are left, and charges as
// many as an image has cost so far.
func (b *budget) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	price := b.price()
	if b.rate > 0 && b.left < price {
		return false
	}
	b.left -= price
	b.paid += price - 1
	b.granted++
	b.cost++
	return true
}

// charge counts one more question about an image for which take allowed them.
func (b *budget) charge() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cost++
	if b.paid >= 1 {
		b.paid--
		return
	}
	b.left--
}

// price is how many questions an image costs, from what others have.
func (b *budget) price() float64 {
	if b.granted == 0 {
		return 1
	}
	return max(1, b.cost/b.granted)
}

// most is how many questions can be saved up: those of the span, and what is left
// of them because it was not enough for an image.
func (b *budget) most() float64 { return max(1, recheckSpan.Seconds()*b.rate) + b.price() - 1 }

func (b *budget) refill(now time.Time) {
	if gone := now.Sub(b.at); gone > 0 {
		b.left = min(b.left+gone.Seconds()*b.rate, b.most())
		b.at = now
	}
}

// hold notes how many images of a repository are to be asked about again and again.
func (b *budget) hold(repo string, images int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.images[repo] = images
}

// period returns the time that it takes to ask about every image of the host
// once; 0 if there is no limit.
func (b *budget) period() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate <= 0 {
		return 0
	}
	images := 0
	for _, n := range b.images {
		images += n
	}
	return time.Duration(float64(images) * b.price() / b.rate * float64(time.Second)).Round(time.Second)
}

// budget returns that of a source's host. A new one begins with what state says
// of the host's images, and with what was saved up since the last survey.
func (s *Survey) budget(ctx context.Context, registry, host string) (*budget, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.budgets[host]; b != nil {
		return b, nil
	}
	now := s.opts.Now()
	b := &budget{rate: recheckShare * s.opts.ReadRate(registry), left: 1, at: now, images: map[string]int{}}
	if b.rate > 0 {
		standings, err := s.opts.State.Standings(ctx, "")
		if err != nil {
			return nil, &stateError{err}
		}
		var last time.Time
		for _, st := range standings {
			if st.Source.Host == host {
				b.images[st.Source.Name] = max(b.images[st.Source.Name], int(st.InStep))
			}
			if st.Source.Host == host && st.Surveyed.After(last) {
				last = st.Surveyed
			}
		}
		if !last.IsZero() {
			b.at = last
		}
	}
	s.budgets[host] = b
	return b, nil
}

// rechecks answers those of the questions that the source's budget allows, about
// the images that were asked about longest ago first, and puts off the others.
func (a *answers) rechecks(f *plan.Source, src *source, questions []plan.Recheck) {
	slices.SortStableFunc(questions, func(x, y plan.Recheck) int { return f.Checked[x.Root].Compare(f.Checked[y.Root]) })
	for _, q := range questions {
		if !src.grants(q) {
			a.putOff(f, q.Root)
			continue
		}
		a.g.Go(func() error { return a.referrers(f, src, q.Subject) })
	}
}

func (a *answers) putOff(f *plan.Source, root v1.Hash) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f.PutOff[root] = true
}

// grants reports whether q may be asked in this survey, for any of its targets.
// Whoever may ask about an image may ask all about it: what its children and
// referrers cost is taken from those who come later.
func (s *source) grants(q plan.Recheck) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	allowed, decided := s.granted[q.Root]
	if !decided {
		allowed = s.budget.take(s.opts.Now())
		s.granted[q.Root] = allowed
	}
	if allowed && q.Subject != q.Root && !s.charged[q.Subject] {
		s.charged[q.Subject] = true
		s.budget.charge()
	}
	return allowed
}
