package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/all"
)

// asked are the checks of the registry itself, in their order.
var asked = []string{"sign in", "token", "list", "pull", "push", "mount", "referrers", "immutable", "quotas"}

// ask opens the registry as sync would and asks it. What it needs to be granted is
// told in any case.
func (d *doctor) ask(ctx context.Context, barred string) {
	reg, err := d.regs.get(d.name)
	if err != nil {
		d.run(ctx, "open", func(ctx context.Context) finding { return failedBy(ctx, err, "") })
		d.skip("the registry cannot be opened", asked...)
		return
	}
	d.up.Grant = all.Permissions(reg, d.isA("target"))
	if barred != "" {
		d.skip(barred, asked...)
		return
	}
	if broken := d.way(ctx, reg); broken {
		d.skip("a link of its federation is broken", asked...)
		return
	}
	var who providers.Identity
	in := d.run(ctx, "sign in", func(ctx context.Context) finding {
		var err error
		who, err = reg.Whoami(ctx)
		return failedBy(ctx, err, "as "+who.String())
	})
	if in.Verdict == failed {
		d.skip("nobody is signed in", asked[1:]...)
		return
	}
	d.run(ctx, "token", func(context.Context) finding { return tokenLife(who) })
	repo := ""
	d.run(ctx, "list", func(ctx context.Context) (f finding) { repo, f = d.list(ctx, reg); return f })
	pulled, digest := d.pull(ctx, reg, repo)
	d.push(ctx, reg, repo)
	d.abilities(ctx, reg, pulled, digest)
}

func tokenLife(who providers.Identity) finding {
	if who.Expires.IsZero() {
		return good("nothing that ends, or the host does not say when")
	}
	left := time.Until(who.Expires).Round(time.Second)
	if left <= 0 {
		return bad("check this machine's clock", "what the host gave us is over already")
	}
	return good("ends in %v; it is renewed before", left)
}

// list asks for repositories until one comes that the policy is about.
func (d *doctor) list(ctx context.Context, reg providers.Registry) (repo string, f finding) {
	const enough = 1000
	n := 0
	for name, err := range reg.Repositories(ctx, d.prefix()) {
		if err != nil {
			return "", d.cannotList(ctx, err)
		}
		n++
		if repo == "" || !d.wanted(repo) && d.wanted(name) {
			repo = name
		}
		if d.wanted(repo) || n == enough {
			break
		}
	}
	if n == 0 && !d.isA("source") {
		return "", good("it has no repository yet")
	}
	if n == 0 {
		return "", warn("check the account, the project or the folder", "it has no repository that we may see")
	}
	return repo, good("such as %s", repo)
}

// prefix is what the first rule that reads the registry lists by: some list nothing
// without one.
func (d *doctor) prefix() string {
	for _, r := range d.sources() {
		return r.From.Repositories.Prefix()
	}
	return ""
}

// cannotList is a failure only where a rule needs the list.
func (d *doctor) cannotList(ctx context.Context, err error) finding {
	f := failedBy(ctx, err, "")
	if !d.needsList() {
		f.Verdict, f.Detail, f.Fix = warned, "not possible, and no rule needs it: "+f.Detail, ""
	}
	return f
}

// needsList reports whether a rule that reads from the registry has globs.
func (d *doctor) needsList() bool {
	return slices.ContainsFunc(d.sources(), func(r policy.Rule) bool { return len(plainNames(r)) == 0 })
}

func (d *doctor) sources() (rules []policy.Rule) {
	for _, r := range d.set.Rules {
		if r.From.Registry == d.name {
			rules = append(rules, r)
		}
	}
	return rules
}

// plainNames are the repositories that a rule names without a pattern, nil if it
// has a pattern, too.
func plainNames(r policy.Rule) []string {
	if len(r.From.Repositories.Include) == 0 || slices.ContainsFunc(r.From.Repositories.Include, func(s string) bool { return strings.ContainsAny(s, "*?[{!") }) {
		return nil
	}
	return r.From.Repositories.Include
}

// wanted reports whether a rule reads the repository.
func (d *doctor) wanted(repo string) bool {
	return slices.ContainsFunc(d.sources(), func(r policy.Rule) bool {
		m, err := r.From.Repositories.Matcher()
		if err != nil {
			return false
		}
		ok, _ := m.Match(repo)
		return ok
	})
}

// pull resolves a tag of a repository that the policy reads, or that was listed.
// A HEAD counts as no pull anywhere.
func (d *doctor) pull(ctx context.Context, reg providers.Registry, listed string) (repo string, digest v1.Hash) {
	repo = listed
	for _, r := range d.sources() {
		if names := plainNames(r); len(names) > 0 && !d.wanted(listed) {
			repo = names[0]
		}
	}
	if repo == "" {
		d.skip("no repository is known", "pull")
		return repo, digest
	}
	d.run(ctx, "pull", func(ctx context.Context) finding {
		for row, err := range reg.Rows(ctx, repo) {
			if err != nil {
				return d.cannotPull(ctx, err)
			}
			if len(row.Tags) == 0 || row.Archived {
				continue
			}
			desc, err := reg.Head(ctx, repo, row.Tags[0])
			digest = desc.Digest
			return failedBy(ctx, err, fmt.Sprintf("%s:%s", repo, row.Tags[0]))
		}
		return warn("", "%s has no tag to try", repo)
	})
	return repo, digest
}

// cannotPull is a failure only of a registry that is read from.
func (d *doctor) cannotPull(ctx context.Context, err error) finding {
	f := failedBy(ctx, err, "")
	if !d.isA("source") && !d.isA("reader") {
		f.Verdict = warned
	}
	return f
}

// abilities tells what the host can do and where that was learned.
func (d *doctor) abilities(ctx context.Context, reg providers.Registry, repo string, digest v1.Hash) {
	caps, err := reg.Caps(ctx)
	if err != nil {
		d.run(ctx, "mount", func(ctx context.Context) finding { return failedBy(ctx, err, "") })
		return
	}
	caps = d.learned.over(reg.Host(), caps)
	d.run(ctx, "mount", func(context.Context) finding { return untried(caps, providers.CapMount, caps.Mount) })
	d.run(ctx, "referrers", func(ctx context.Context) finding { return referrersOf(ctx, reg, caps, repo, digest) })
	d.run(ctx, "immutable", func(context.Context) finding { return untried(caps, providers.CapImmutable, caps.Immutable) })
	d.run(ctx, "quotas", func(context.Context) finding { return good("%s", quotaLine(caps.Quotas)+pullsLine(caps.Pulls)) })
}

// untried is an ability that cannot be tried without leaving something there: a mount
// leaves a layer, unless it is of a repository's own, which proves nothing; a tag that
// is put once more has another time, and tells the world.
func untried(caps providers.Caps, name string, is providers.Tri) finding {
	switch source := caps.Source(name); {
	case is == providers.Maybe:
		return good("not known and not tried, as that would leave something there; a sync finds out, and remembers")
	case source == providers.Tried:
		return good("%s (%s by a sync)", is, source)
	default:
		return good("%s (%s), not tried", is, source)
	}
}

func ability(caps providers.Caps, name string, is providers.Tri) finding {
	if is == providers.Maybe {
		return good("not known; it is tried, and remembered")
	}
	return good("%s (%s)", is, caps.Source(name))
}

func referrersOf(ctx context.Context, reg providers.Registry, caps providers.Caps, repo string, digest v1.Hash) finding {
	if digest.Hex == "" {
		return ability(caps, providers.CapReferrers, caps.Referrers)
	}
	list, err := reg.Referrers(ctx, repo, digest)
	switch {
	case providers.KindOf(err) == providers.Unsupported:
		return good("no (%s); signatures are found by their tags", providers.Tried)
	case err != nil:
		return failedBy(ctx, err, "")
	}
	return good("yes (%s), %s", providers.Tried, count(len(list), "referrer"))
}
