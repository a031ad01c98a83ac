package replicator_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers/registrytest"
)

// excused are tags that may stay as they are: of others, kept by rule or because
// the target lets no tag move.
func (s *trial) excused(name string, before shot) func(repo, tag string) bool {
	return func(repo, tag string) bool {
		old, had := before.tags[repo][tag]
		fixed := s.servers[name].Quirks().Immutable != registrytest.Mutable || s.keeps && name == "two"
		return had && fixed && s.servers[name].Tags(repo)[tag] == old
	}
}

// clean is a pass without faults, a day later: everything has to be equal then. If
// something is wrong that a pass cannot see, a check finds it, and a second pass
// brings it.
func (s *trial) clean() {
	s.over()
	s.hurried = false
	s.skew += 25 * time.Hour
	before := s.shots()
	s.cleanPass(before)
	if s.unseen {
		s.check()
		s.cleanPass(before)
	}
	s.takenAway.forget(s.wanted)
	for _, name := range s.targets {
		if err := s.converged(name, s.excused(name, before[name])); err != nil {
			s.t.Errorf("not equal after a clean pass: %v", err)
		}
	}
	s.hold(before)
}

func (s *trial) cleanPass(before map[string]shot) {
	s.tell("a clean pass")
	reports, problems, err := s.process().pass(context.Background())
	if err != nil || len(problems) > 0 {
		s.t.Errorf("clean pass: %v, %v", err, problems)
	}
	for _, r := range reports {
		s.judge(r)
		if r.Err != nil || r.Interrupted {
			s.t.Errorf("clean pass: %s: %v, interrupted %v", r.Key, r.Err, r.Interrupted)
		}
		for _, f := range r.Failures {
			if !s.excused(f.Target.Registry, before[f.Target.Registry])(f.Target.Repo, f.Tag) {
				s.t.Errorf("clean pass: %s:%s: %s", f.Target, f.Tag, f.Reason)
			}
		}
	}
}

// check looks at everything at the targets.
func (s *trial) check() {
	p := s.process()
	jobs, _, err := p.Expand(context.Background(), p.set.Rules, nil)
	s.must(err)
	for _, job := range jobs {
		r, err := p.Check(context.Background(), job, false)
		if err != nil {
			s.t.Errorf("check: %s: %v", job.Key, err)
		}
		for _, f := range r.Failures {
			s.tell("check: %s:%s: %s", f.Target, f.Tag, f.Reason)
		}
	}
}

// unchanged is one more pass, which has nothing to do (I6).
func (s *trial) unchanged() {
	before, counts := s.shots(), s.counts()
	from := map[string]int64{}
	for name, server := range s.servers {
		from[name] = requests(server)
	}
	if _, _, err := s.process().pass(context.Background()); err != nil {
		s.t.Errorf("unchanged pass: %v", err)
	}
	n := s.since(counts)
	s.hold(before)
	s.over()
	fixed := false
	for _, name := range s.targets {
		fixed = fixed || s.servers[name].Quirks().Immutable != registrytest.Mutable
	}
	if fixed {
		return // a tag that cannot be moved is tried again
	}
	for name, c := range n {
		if c.Of(registrytest.ManifestGet) > 0 || c.Writes() > 0 || c.BytesOut > 0 {
			s.t.Errorf("I6: %s was asked this by a pass with nothing to do:\n%s\n%s", name, c, s.needless(name, from[name]))
		}
	}
}

// needless lists the reads and writes that a server was asked for after a request.
func (s *trial) needless(name string, from int64) string {
	var text strings.Builder
	for _, r := range s.servers[name].Log() {
		if r.N > from && r.Class != registrytest.Tags && r.Class != registrytest.ManifestHead && r.Side == registrytest.API {
			fmt.Fprintf(&text, "%.160s\n", r)
		}
	}
	return text.String()
}

func hash(digest string) v1.Hash {
	h, err := v1.NewHash(digest)
	if err != nil {
		panic(err)
	}
	return h
}
