package policy

import "time"

// OnConflict is what happens to a target tag that differs from the source and
// from what we last put.
type OnConflict string

// OnGone is what happens to a tag that we put and that left the target.
type OnGone string

// Mode is what an index becomes when only some platforms are taken.
type Mode string

// By is the order in which [Newest] counts.
type By string

// ForeignLayers is what happens to layers that live outside registries.
type ForeignLayers string

// The choices. Methods on [Rule] give the defaults.
const (
	Overwrite OnConflict = "overwrite"
	Keep      OnConflict = "keep"
	Fail      OnConflict = "fail"

	Restore OnGone = "restore"
	Leave   OnGone = "leave"

	Sparse  Mode = "sparse"
	Rewrite Mode = "rewrite"

	BySemver By = "semver"
	ByPushed By = "pushed"

	KeepForeign ForeignLayers = "keep"
	CopyForeign ForeignLayers = "copy"
)

// Values are the values that a policy may give.
func (OnConflict) Values() []string { return []string{"overwrite", "keep", "fail"} }

// Values are the values that a policy may give.
func (OnGone) Values() []string { return []string{"restore", "leave"} }

// Values are the values that a policy may give.
func (Mode) Values() []string { return []string{"sparse", "rewrite"} }

// Values are the values that a policy may give.
func (By) Values() []string { return []string{"semver", "pushed"} }

// Values are the values that a policy may give.
func (ForeignLayers) Values() []string { return []string{"keep", "copy"} }

// A choice is a string of which few are allowed; empty is the default.
type choice interface{ Values() []string }

// The defaults that are times.
const (
	DefaultVerifyEvery  = 24 * time.Hour
	DefaultRecheck      = time.Hour
	DefaultRecheckLarge = 24 * time.Hour // above LargeRecheck manifests
	LargeRecheck        = 10_000
)

// ConflictAt returns what the rule does about conflicts at t: the target's
// choice, else the rule's, else [Overwrite].
func (r Rule) ConflictAt(t Target) OnConflict {
	return first(t.OnConflict, r.OnConflict, Overwrite)
}

// GoneAt returns what the rule does about tags that left t: the target's
// choice, else the rule's, else [Restore].
func (r Rule) GoneAt(t Target) OnGone { return first(t.OnGone, r.OnGone, Restore) }

// Foreign returns what the rule does about foreign layers, [KeepForeign] unless it says otherwise.
func (r Rule) Foreign() ForeignLayers { return first(r.ForeignLayers, KeepForeign) }

// ReferrersOn reports whether referrers follow their image.
func (r Rule) ReferrersOn() bool { return r.Referrers.Enabled == nil || *r.Referrers.Enabled }

// ChildReferrersOn reports whether the children of an index are asked about too.
func (r Rule) ChildReferrersOn() bool { return r.ReferrersOn() && r.Referrers.Children }

// RecheckEvery returns the time within which new referrers on unchanged images
// are found, for a source of so many manifests.
func (r Rule) RecheckEvery(manifests int) time.Duration {
	if r.Referrers.Recheck == 0 && manifests > LargeRecheck {
		return DefaultRecheckLarge
	}
	return first(r.Referrers.Recheck.Std(), DefaultRecheck)
}

// VerifyInterval returns the time in which each fact about a target is verified again.
func (r Rule) VerifyInterval() time.Duration {
	return first(r.VerifyEvery.Std(), DefaultVerifyEvery)
}

// first returns the first value that is not zero.
func first[T comparable](values ...T) T {
	var zero T
	for _, v := range values {
		if v != zero {
			return v
		}
	}
	return zero
}
