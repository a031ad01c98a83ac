package survey

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
)

// A ration keeps surveys within the manifests that one source host lets us read in
// a time: a root is read only if all that is below it can be, too, so that each
// window brings whole images and not the beginnings of all. Safe for concurrent use.
type ration struct {
	mu       sync.Mutex
	promised int // granted by surveys under way, and not read yet
	looks    int // that whoever only looks may still read; see Options.Looks
	begun    bool
}

// A rooted is what is known of a root before it is read.
type rooted struct {
	cost  int       // manifests of the image, and of what refers to it by a tag
	moved time.Time // the newest of its tags
}

func (s *Survey) ration(host string) *ration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rations[host] == nil {
		s.rations[host] = &ration{}
	}
	return s.rations[host]
}

// allowance is what the source's registry allows now, nil for no bound that is known.
func (s *source) allowance(ctx context.Context) *providers.Pulls {
	if !s.caps.CountsPulls {
		return nil
	}
	caps, err := s.reg.Caps(ctx) // asked again: it is what is left now
	if err != nil {
		return nil
	}
	return caps.Pulls
}

func (s *source) rationed(ctx context.Context) bool { return s.allowance(ctx) != nil }

// wantedOf is how many of an index's children some rule wants.
func (s *source) wantedOf(children []v1.Descriptor) (n int) {
	for _, d := range children {
		if slices.ContainsFunc(s.links, func(l Link) bool { return takesPlatform(l.Rule.Platforms, d.Platform) }) {
			n++
		}
	}
	return n
}

func takesPlatform(p policy.Platforms, of *v1.Platform) bool {
	if of == nil || len(p.Only) == 0 {
		return true
	}
	ok, _ := p.Match(of.OS, of.Architecture, of.Variant, of.OSVersion)
	return ok
}

// count works out what the roots cost, where the registry counts.
func (s *source) count(ctx context.Context) error {
	if s.pulls = s.allowance(ctx); s.pulls == nil {
		return nil
	}
	about := map[v1.Hash]int{} // tags that carry referrers, by subject
	for name := range s.rows {
		if subject, _, ok := providers.ReferrerTag(name); ok && s.wantsReferrers() {
			about[subject]++
		}
	}
	s.roots = map[v1.Hash]rooted{}
	for name, digest := range s.seen {
		row, r := s.rows[name], s.roots[digest]
		r.cost = max(r.cost, 1+row.children+about[digest])
		if row.tagged.After(r.moved) {
			r.moved = row.tagged
		}
		s.roots[digest] = r
	}
	return nil
}

// inTurn is in which order roots get what is left: the newest first.
func (s *source) inTurn(digests []v1.Hash) []v1.Hash {
	if s.roots == nil {
		return digests
	}
	return slices.SortedStableFunc(slices.Values(digests), func(a, b v1.Hash) int {
		return cmp.Or(s.roots[b].moved.Compare(s.roots[a].moved), compare(a, b))
	})
}

// grant allows a root to be read, with all that is below it, or says until when it
// waits. What is no root has been allowed with one.
func (s *source) grant(ctx context.Context, digest v1.Hash) error {
	root, is := s.roots[digest]
	if !is {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err, decided := s.allowed[digest]
	if !decided {
		if err = s.ration.take(s, s.allowance(ctx), root.cost, digest); err == nil {
			s.promise += root.cost
		}
		s.allowed[digest] = err
	}
	return err
}

// take promises n manifests. An image that has more than any window may begin with
// a whole one.
func (r *ration) take(s *source, p *providers.Pulls, n int, root v1.Hash) error {
	if p == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.opts.Looks && !r.begun {
		r.begun, r.looks = true, p.Left/2
	}
	free := p.Left - r.promised
	if s.opts.Looks {
		free = min(free, r.looks)
	}
	if n > free && !(r.promised == 0 && p.Left >= p.Each() && n > p.Each()) {
		return s.waits(p, n, max(0, free), root)
	}
	r.promised += n
	r.looks -= n
	return nil
}

// pay takes one of the manifests that s was promised.
func (r *ration) pay(s *source) {
	s.mu.Lock()
	paid := s.promise > 0
	if paid {
		s.promise--
	}
	s.mu.Unlock()
	if paid {
		r.give(1)
	}
}

func (r *ration) give(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.promised -= n
}

// settle gives back what the sources were promised and did not read.
func (l *look) settle() {
	for _, s := range l.sources {
		s.mu.Lock()
		left := s.promise
		s.promise = 0
		s.mu.Unlock()
		if left > 0 {
			s.ration.give(left)
		}
	}
}

// waits is why a root is not read now.
func (s *source) waits(p *providers.Pulls, n, free int, root v1.Hash) error {
	until := p.Until
	if until.IsZero() {
		until = s.at.Add(p.Window).Round(time.Second)
	}
	why := fmt.Errorf("it has %d manifests to read, and %d of %d in %v are left for it; more from %s on",
		n, free, p.Limit, p.Window, until.UTC().Format(time.RFC3339))
	if s.opts.Looks {
		why = fmt.Errorf("%w (a plan takes half of what is left at most)", why)
	}
	return fmt.Errorf("source: %w", &providers.Error{Kind: providers.Waiting, Op: "get manifest", Until: until.UTC(),
		Ref: fmt.Sprintf("%s/%s@%s", s.repo.Host, s.repo.Name, root), Err: why,
		Hint: "run again then: it goes on where it stopped"})
}
