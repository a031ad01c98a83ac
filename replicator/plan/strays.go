package plan

import (
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// strays plans the referrers that tags or a bulk listing show and no image took:
// their subject is not wanted by a tag of its own, but the target holds it, as a
// child or a referrer.
func (j *judge) strays() {
	rules := j.rulesWithReferrers()
	for _, from := range j.places() {
		rule := rules[from]
		if rule == nil {
			continue
		}
		for _, subject := range j.unasked(from) {
			if !j.looked[root{from, subject}] && j.holds(subject) {
				j.stray(from, rule, subject)
			}
		}
	}
}

// unasked returns the subjects that tags or a bulk listing of from show and no
// image has looked at, sorted.
func (j *judge) unasked(from Place) []v1.Hash {
	src, found := j.f.Sources[from], map[v1.Hash]bool{}
	for tag := range src.Tags {
		subject, _, ok := providers.ReferrerTag(tag)
		if hints := j.f.Hints; ok && (len(hints) == 0 || slices.Contains(hints, tag)) {
			found[subject] = true
		}
	}
	if len(j.f.Hints) == 0 {
		for subject := range src.Referrers {
			found[subject] = true
		}
	}
	maps.DeleteFunc(found, func(d v1.Hash, _ bool) bool { return j.looked[root{from, d}] })
	return hashes(found)
}

func (j *judge) stray(from Place, rule *Rule, subject v1.Hash) {
	w := Want{Rule: rule, From: from, Ref: subject.String(), Digest: subject}
	r := referring{tree: j.tree(w, false), root: subject, sure: true, stray: true, seen: map[referral]bool{}}
	if bad := r.about(subject, false, 1); bad != nil {
		bad.refuse(j, w)
		return
	}
	root := Node{Descriptor: v1.Descriptor{Digest: subject}, Here: true}
	img := Image{Rule: rule.Name, From: from, Selection: rule.Selection, Root: root, Merged: r.merged}
	for _, n := range r.list {
		if !n.Here {
			img.Referrers = append(img.Referrers, n)
		}
	}
	if len(img.Referrers) > 0 {
		j.plan.Images = append(j.plan.Images, img)
		return
	}
	j.foundMerged(img)
}

// rootLost reports whether the target has a stray's subject no more: state may
// remember it from before somebody deleted it.
func (r *referring) rootLost() (bool, *trouble) {
	if !r.stray {
		return false, nil
	}
	if f, known := r.j.f.Target.Failed[r.root.String()]; known {
		return false, failed(f)
	}
	here, known := r.j.present(r.root, false, true)
	if !known {
		return false, waiting()
	}
	return !here, nil
}

func (j *judge) places() []Place {
	var list []Place
	for p := range j.f.Sources {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Place) int { return strings.Compare(a.String(), b.String()) })
	return list
}

// rulesWithReferrers returns for each source the first rule by name that brings
// referrers from there.
func (j *judge) rulesWithReferrers() map[Place]*Rule {
	first := map[Place]*Rule{}
	for _, w := range j.f.Wants {
		if r := first[w.From]; w.Rule.Referrers && (r == nil || w.Rule.Name < r.Name) {
			first[w.From] = w.Rule
		}
	}
	return first
}
