package policy

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"
)

// TagInfo is what is known of one tag of a source repository. Times are zero
// where they are not known.
type TagInfo struct {
	Name      string
	Pushed    time.Time // when the registry says it was pushed
	FirstSeen time.Time // when transship first saw it with its present digest
}

// since is the time from which the tag's age counts.
func (t TagInfo) since() time.Time {
	if t.Pushed.IsZero() {
		return t.FirstSeen
	}
	return t.Pushed
}

// A Selection is the verdict on one tag. Reason is a clause for people; CoolUntil
// is set for a tag that minAge holds back and no other filter leaves out.
type Selection struct {
	Tag       string
	Taken     bool
	Reason    string
	CoolUntil time.Time
}

// A Selector is a rule's tag filter compiled. It is safe for concurrent use.
type Selector struct {
	tags      Tags
	referrers bool // they follow their image and are no tags of their own
	include   []pattern
	exclude   []pattern
	semver    *semver.Constraints
}

// Selector compiles the rule's tag filter. It fails only for a policy that was
// not validated.
func (r Rule) Selector() (*Selector, error) {
	s := &Selector{tags: r.Tags, referrers: r.ReferrersOn()}
	globs, err := globFilter(r.Tags.Include, r.Tags.Exclude)
	if err != nil {
		return nil, err
	}
	include, err := compileAll(r.Tags.IncludeRegexp, compileRegexp)
	if err != nil {
		return nil, fmt.Errorf("includeRegexp: %w", err)
	}
	exclude, err := compileAll(r.Tags.ExcludeRegexp, compileRegexp)
	if err != nil {
		return nil, fmt.Errorf("excludeRegexp: %w", err)
	}
	s.include, s.exclude = append(globs.include, include...), append(globs.exclude, exclude...)
	if r.Tags.Semver != "" {
		if s.semver, err = compileSemver(r.Tags.Semver); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// SelectTags is [Selector.Select]. Where the filter is not valid, which
// validation excludes, it takes nothing and says why.
func (r Rule) SelectTags(now time.Time, tags []TagInfo) []Selection {
	s, err := r.Selector()
	if err == nil {
		return s.Select(now, tags)
	}
	all := make([]Selection, len(tags))
	for i, t := range tags {
		all[i] = Selection{Tag: t.Name, Reason: "the filter is invalid: " + err.Error()}
	}
	return all
}

// Select judges the tags of one repository together, at the time now, and
// returns a verdict for each, in the order given. The order of tags decides
// nothing else.
func (s *Selector) Select(now time.Time, tags []TagInfo) []Selection {
	all := make([]Selection, len(tags))
	for i, t := range tags {
		all[i] = s.judge(now, t)
	}
	if s.tags.Newest != nil {
		s.newest(tags, all)
	}
	return all
}

// judge applies every filter that looks at one tag alone.
func (s *Selector) judge(now time.Time, t TagInfo) Selection {
	taken, reason := s.Name(t.Name)
	v := Selection{Tag: t.Name, Taken: taken, Reason: reason}
	if taken {
		s.age(now, t, &v)
	}
	return v
}

// Name applies the filters that need nothing but the name: patterns and range.
func (s *Selector) Name(tag string) (taken bool, reason string) {
	if subject, ok := followsOther(tag); ok && s.referrers {
		return false, fmt.Sprintf("it belongs to %s and follows it (referrers)", subject)
	}
	taken, reason = filter{s.include, s.exclude}.judge(tag)
	if !taken || s.semver == nil {
		return taken, reason
	}
	if why := outside(s.semver, tag); why != "" {
		return false, fmt.Sprintf("semver %s: %s", quote(s.tags.Semver), why)
	}
	return true, fmt.Sprintf("%s, and semver %s", reason, quote(s.tags.Semver))
}

// age holds v back until minAge and lets it go after maxAge. A tag without any
// time is taken to be seen now for the first time.
func (s *Selector) age(now time.Time, t TagInfo, v *Selection) {
	since, what := t.since(), "pushed"
	if t.Pushed.IsZero() {
		what = "first seen"
	}
	if since.IsZero() {
		since = now
	}
	if cool := since.Add(s.tags.MinAge.Std()); s.tags.MinAge > 0 && now.Before(cool) {
		v.Taken, v.CoolUntil = false, cool
		v.Reason = fmt.Sprintf("minAge %s: %s %s, taken from %s on", s.tags.MinAge, what, stamp(since), stamp(cool))
	}
	if s.tags.MaxAge > 0 && now.Sub(since) > s.tags.MaxAge.Std() {
		v.Taken, v.Reason = false, fmt.Sprintf("maxAge %s: %s %s", s.tags.MaxAge, what, stamp(since))
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// newest leaves only the newest of the verdicts that are taken so far.
func (s *Selector) newest(tags []TagInfo, all []Selection) {
	n := s.tags.Newest
	order := make([]ranked, 0, len(all))
	for i, v := range all {
		if !v.Taken {
			continue
		}
		r, why := rank(n.By, tags[i], i)
		if why != "" {
			all[i].Taken, all[i].Reason = false, fmt.Sprintf("newest %d by %s: %s", n.Count, n.By, why)
			continue
		}
		order = append(order, r)
	}
	slices.SortFunc(order, ranked.compare)
	for place, r := range order {
		if place >= n.Count {
			all[r.at].Taken = false
			all[r.at].Reason = fmt.Sprintf("newest %d by %s: it is number %d of %d", n.Count, n.By, place+1, len(order))
			continue
		}
		all[r.at].Reason += fmt.Sprintf(", number %d of the newest %d by %s", place+1, n.Count, n.By)
	}
}

// ranked is a tag with what orders it.
type ranked struct {
	at      int // index in the list of tags
	name    string
	version *semver.Version
	pushed  time.Time
}

// compare puts the newest first; ties go by name, the greater first.
func (a ranked) compare(b ranked) int {
	if a.version != nil && b.version != nil {
		return cmp.Or(b.version.Compare(a.version), cmp.Compare(b.name, a.name))
	}
	return cmp.Or(b.pushed.Compare(a.pushed), cmp.Compare(b.name, a.name))
}

func rank(by By, t TagInfo, i int) (r ranked, why string) {
	r = ranked{at: i, name: t.Name, pushed: t.Pushed}
	if by == ByPushed {
		if t.Pushed.IsZero() {
			return r, "its push time is not known"
		}
		return r, ""
	}
	v, err := semver.NewVersion(t.Name)
	if err != nil {
		return r, "it is no semantic version"
	}
	r.version = v
	return r, ""
}

// Immutable reports whether the rule says that the tag never moves at the source.
func (r Rule) Immutable(tag string) bool {
	for _, glob := range r.ImmutableTags {
		if p, err := compileGlob(glob); err == nil && p.match(tag) {
			return true
		}
	}
	return false
}
