package app

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator"
)

// writeTrouble tells standard error what a person has to look at, with what to try.
func (p *program) writeTrouble(problems []replicator.Problem, jobs []jobFailure, failures []replicator.Failure) {
	for _, x := range problems {
		p.trouble(x.Hint, "problem: rule %s: %s", x.Rule, x.Reason)
	}
	for _, j := range jobs {
		p.trouble(j.Hint, "failed: %s", j)
	}
	alike := map[sameFailure]int{}
	for _, f := range failures {
		if f.Tag == wholeRepository {
			same := sameFailure{f.Target.Registry, f.Kind}
			if alike[same]++; alike[same] > mostAlike {
				continue
			}
		}
		p.trouble(f.Hint, "failed: %s: %s", reference(f.Target.String(), f.Tag), f.Reason)
	}
	for _, same := range slices.SortedFunc(maps.Keys(alike), sameFailure.compare) {
		if n := alike[same] - mostAlike; n > 0 {
			p.trouble("", "failed: %s of %s more, in the same way (%s); -o json lists them", count(n, "repository"), same.registry, same.kind)
		}
	}
}

// wholeRepository is the tag of a failure that is about all of a repository.
const wholeRepository = "*"

// mostAlike is how many repositories of one registry are told one by one when
// all of them fail in the same way: it is the registry then.
const mostAlike = 3

type sameFailure struct {
	registry string
	kind     providers.Kind
}

func (a sameFailure) compare(b sameFailure) int {
	return cmp.Or(cmp.Compare(a.registry, b.registry), cmp.Compare(a.kind, b.kind))
}

// reference names what has failed: a tag, a digest, or with "*" a whole repository.
func reference(repo, tag string) string {
	switch {
	case tag == wholeRepository || tag == "":
		return repo
	case strings.HasPrefix(tag, "sha256:") || strings.HasPrefix(tag, "sha512:"):
		return repo + "@" + tag
	}
	return repo + ":" + tag
}

func (p *program) trouble(hint, format string, args ...any) {
	fmt.Fprintf(p.stderr, format+"\n", args...)
	if hint != "" {
		fmt.Fprintf(p.stderr, "  try: %s\n", hint)
	}
}
