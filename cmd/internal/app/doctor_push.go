package app

import (
	"context"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/all"
)

// push begins an upload and gives it up, where a rule writes to the registry.
func (d *doctor) push(ctx context.Context, reg providers.Registry, listed string) {
	if !d.isA("target") {
		d.skip("no rule writes to it", "push")
		return
	}
	repo, known := d.targetRepo(ctx, listed)
	if repo == "" {
		d.skip("no repository is known to try it with", "push")
		return
	}
	said := "to " + repo
	if !known {
		said += ", as no source could be asked what the rules write"
	}
	d.run(ctx, "push", func(ctx context.Context) finding {
		caps, err := reg.Caps(ctx)
		if err == nil {
			err = caps.Names.Check(repo)
		}
		if err == nil {
			err = reg.TryPush(ctx, repo)
		}
		if providers.KindOf(err) == providers.NotFound && !d.what.Create.Never && all.Makes(d.up.Provider) {
			return warn("", "%s is not there yet; a push makes it, which was not tried", repo)
		}
		return failedBy(ctx, err, said)
	})
}

// targetRepo is where a rule writes, by what the rule names, or else by what its
// source lists; known is false for one that only is at hand.
func (d *doctor) targetRepo(ctx context.Context, listed string) (repo string, known bool) {
	for _, sample := range []func(context.Context, policy.Rule) string{firstName, d.firstListed} {
		for _, r := range d.set.Rules {
			for _, t := range r.To {
				if t.Registry != d.name {
					continue
				}
				if from := sample(ctx, r); from != "" {
					if repo, err := r.MapRepository(t, r.From.Registry, from); err == nil {
						return repo, true
					}
				}
			}
		}
	}
	if listed == "" && !all.SignsIn(d.up.Provider) && all.Documented(d.up.Provider).Names.IsZero() {
		return "transship-doctor", false // where no account, project or folder comes before
	}
	return listed, false
}

// firstName is a repository that the rule names without a pattern, "" if it does not.
func firstName(_ context.Context, r policy.Rule) string {
	for _, name := range plainNames(r) {
		return name
	}
	return ""
}

// firstListed is a repository that the rule's source lists and the rule takes, among
// the first thousand, "" if that cannot be had in the time of a check.
func (d *doctor) firstListed(ctx context.Context, r policy.Rule) string {
	const enough = 1000
	ctx, cancel := context.WithTimeoutCause(ctx, checkTime, errNoAnswer)
	defer cancel()
	if d.regs == nil {
		return ""
	}
	reg, err := d.regs.get(r.From.Registry)
	if err != nil {
		return ""
	}
	m, err := r.From.Repositories.Matcher()
	if err != nil {
		return ""
	}
	n := 0
	for name, err := range reg.Repositories(ctx, r.From.Repositories.Prefix()) {
		if n++; err != nil || n > enough {
			return ""
		}
		if ok, _ := m.Match(name); ok {
			return name
		}
	}
	return ""
}
