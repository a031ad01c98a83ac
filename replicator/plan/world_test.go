package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/state"
)

// A world is a source repository and a target registry in memory: it answers
// what a plan needs, and carries plans out. Content has names: the digest of m1
// is the hash of "m1".
//
// A source is written as tags and manifests, "v1=m1(c1 l1) latest=m1 v2=ix[m1 m2(c2 l1)]";
// "m1<sbom1(cs ls)" is a manifest that refers to m1. A target is written
// "app: v1=m1; lib: v7=m7(c7 base)", with the repository of the plan called app.
type world struct {
	t         *testing.T
	names     map[v1.Hash]string
	manifests map[v1.Hash]Manifest
	source    map[string]v1.Hash
	referrers map[v1.Hash][]v1.Descriptor
	repos     map[string]*repoModel
	others    map[Place]*repoModel // of other registries
	prices    map[string]float64
	ours      map[string]state.TargetTag
	listed    map[v1.Hash][]v1.Hash // by subject, in the target's fallback indexes
	forgotten bool                  // state knows nothing
	busy      bool                  // the source allows no rechecks
	bulk      bool                  // the source lists who refers to whom
	rule      *Rule
	caps      providers.Caps
	at        time.Time
	asked     Needs // everything that was asked, for counting
}

type repoModel struct {
	tags map[string]v1.Hash
	has  map[v1.Hash]bool
}

func newWorld(t *testing.T, source, target string) *world {
	t.Helper()
	w := &world{
		t: t, names: map[v1.Hash]string{}, manifests: map[v1.Hash]Manifest{}, source: map[string]v1.Hash{},
		referrers: map[v1.Hash][]v1.Descriptor{}, repos: map[string]*repoModel{}, ours: map[string]state.TargetTag{},
		listed: map[v1.Hash][]v1.Hash{},
		rule:   &Rule{Name: "r", Referrers: true, Recheck: time.Hour, VerifyEvery: 24 * time.Hour},
		caps:   providers.Caps{SparseIndex: providers.No, Referrers: providers.Yes},
		at:     time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC),
	}
	w.source = w.parse(source)
	w.repo("app")
	for part := range strings.SplitSeq(target, ";") {
		name, tags, ok := strings.Cut(part, ":")
		if !ok {
			continue
		}
		name = strings.TrimSpace(name)
		r := w.repo(name)
		for tag, d := range w.parse(tags) {
			r.tags[tag] = d
			w.hold(r, d)
			if name == "app" {
				w.ours[tag] = state.TargetTag{Name: tag, Rule: "r", Source: d, Digest: d, PutAt: w.at.Add(-time.Minute)}
			}
		}
	}
	return w
}

func (w *world) repo(name string) *repoModel {
	r := w.repos[name]
	if r == nil {
		r = &repoModel{tags: map[string]v1.Hash{}, has: map[v1.Hash]bool{}}
		w.repos[name] = r
	}
	return r
}

// hold puts a manifest with everything below it into r.
func (w *world) hold(r *repoModel, d v1.Hash) {
	r.has[d] = true
	m := w.manifests[d]
	for _, b := range m.Blobs() {
		r.has[b.Digest] = true
	}
	for _, c := range m.Children {
		w.hold(r, c.Digest)
	}
}

func (w *world) hash(name string) v1.Hash {
	sum := sha256.Sum256([]byte(name))
	h := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
	w.names[h] = name
	return h
}

func (w *world) desc(name string, size int64, t types.MediaType) v1.Descriptor {
	return v1.Descriptor{MediaType: t, Size: size, Digest: w.hash(name)}
}

// parse reads the notation above and returns its tags.
func (w *world) parse(text string) map[string]v1.Hash {
	tags := map[string]v1.Hash{}
	p := &parser{w: w, rest: text}
	for p.space(); p.rest != ""; p.space() {
		word := p.word()
		switch {
		case p.eat("="):
			if subject, suffix, ok := strings.Cut(word, "."); ok && slices.Contains([]string{"sig", "att", "sbom"}, suffix) {
				word = providers.FallbackTag(w.hash(subject)) + "." + suffix
			} else if subject, ok := strings.CutPrefix(word, "fallback-"); ok {
				word = providers.FallbackTag(w.hash(subject))
			}
			tags[word] = p.manifest(p.word(), nil)
		case p.eat("<"):
			subject := w.desc(word, 1, types.OCIManifestSchema1)
			d := p.manifest(p.word(), &subject)
			w.referrers[subject.Digest] = append(w.referrers[subject.Digest], w.manifests[d].Descriptor())
		default:
			w.t.Fatalf("cannot read %q", p.rest)
		}
	}
	return tags
}

type parser struct {
	w    *world
	rest string
}

func (p *parser) space() { p.rest = strings.TrimLeft(p.rest, " ") }

func (p *parser) eat(s string) bool {
	rest, ok := strings.CutPrefix(p.rest, s)
	p.rest = rest
	return ok
}

func (p *parser) word() string {
	end := strings.IndexAny(p.rest, "=<([]) @")
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	return word
}

// manifest reads what follows a manifest's name: "(config layer…)" or
// "[child@os/arch …]"; nothing is one that was written before.
func (p *parser) manifest(name string, subject *v1.Descriptor) v1.Hash {
	d := p.w.hash(name)
	m := Manifest{Digest: d, Size: 100}
	m.Subject = subject
	switch {
	case p.eat("("):
		m.MediaType = types.OCIManifestSchema1
		for p.space(); !p.eat(")"); p.space() {
			layer := p.w.desc(p.word(), 1000, types.OCILayer)
			if m.Config == nil {
				m.Config = &layer
				continue
			}
			m.Layers = append(m.Layers, layer)
		}
	case p.eat("["):
		m.MediaType = types.OCIImageIndex
		for p.space(); !p.eat("]"); p.space() {
			child := p.w.manifests[p.manifest(p.word(), nil)].Descriptor()
			if p.eat("@") {
				os, arch, _ := strings.Cut(p.word(), "/")
				child.Platform = &v1.Platform{OS: os, Architecture: arch}
			}
			m.Children = append(m.Children, child)
		}
		m.Raw, _ = json.Marshal(map[string]any{"manifests": m.Children})
	default:
		return d
	}
	p.w.manifests[d] = m
	return d
}

// facts answers everything that a plan needs, as a survey does.
func (w *world) facts() Facts {
	w.t.Helper()
	at, from := Place{"dst", "app"}, Place{"src", "app"}
	src := &Source{Place: from, API: providers.Yes, Tags: map[string]v1.Hash{}, Manifests: map[v1.Hash]Manifest{},
		Referrers: map[v1.Hash][]v1.Descriptor{}, Checked: map[v1.Hash]time.Time{}, PutOff: map[v1.Hash]bool{}, Failed: map[string]Failure{}}
	if w.bulk {
		src.API, src.Referrers = providers.No, maps.Clone(w.referrers)
	}
	f := Facts{At: w.at, Prices: w.prices, Elsewhere: map[v1.Hash][]Place{}, Sources: map[Place]*Source{from: src}, Target: Target{
		Place: at, Caps: w.caps, Listed: true, Tags: map[string]v1.Hash{}, Ghosts: map[string]bool{},
		Ours: w.ours, Refers: map[v1.Hash][]v1.Hash{}, Seen: map[v1.Hash]bool{}, Where: map[v1.Hash][]string{}, Failed: map[string]Failure{},
	}}
	if w.forgotten {
		f.Target.Ours = nil
	}
	for tag := range w.repos["app"].tags {
		f.Target.Tags[tag] = v1.Hash{}
	}
	for tag, d := range w.source {
		if _, _, about := providers.ReferrerTag(tag); about {
			src.Tags[tag] = v1.Hash{}
			continue
		}
		f.Wants = append(f.Wants, Want{Rule: w.rule, From: from, Ref: tag, Tag: tag, Digest: d})
	}
	return w.answered(f)
}

// answered answers what f still needs.
func (w *world) answered(f Facts) Facts {
	w.t.Helper()
	w.asked = Needs{Source: map[Place]SourceNeeds{}}
	for range 50 {
		n := Missing(f)
		if n.Empty() {
			return f
		}
		w.answer(&f, f.Sources[Place{"src", "app"}], n)
	}
	w.t.Fatalf("the questions do not end: %+v", Missing(f))
	return f
}

func (w *world) answer(f *Facts, src *Source, n Needs) {
	app := w.repos["app"]
	for _, tag := range n.Tags {
		f.Target.Tags[tag] = app.tags[tag]
	}
	for _, d := range n.Probe {
		f.Target.Seen[d] = app.has[d]
	}
	for _, d := range n.Locate {
		f.Target.Where[d] = nil
		if w.forgotten {
			continue
		}
		if app.has[d] {
			f.Target.Where[d] = append(f.Target.Where[d], "app")
		}
		for _, name := range slices.Sorted(maps.Keys(w.repos)) {
			if name != "app" && w.repos[name].has[d] {
				f.Target.Where[d] = append(f.Target.Where[d], name)
			}
		}
	}
	for _, d := range n.Elsewhere {
		f.Elsewhere[d] = nil
		for _, at := range slices.SortedFunc(maps.Keys(w.others), func(a, b Place) int { return strings.Compare(a.String(), b.String()) }) {
			if w.others[at].has[d] {
				f.Elsewhere[d] = append(f.Elsewhere[d], at)
			}
		}
	}
	w.asked.Elsewhere = append(w.asked.Elsewhere, n.Elsewhere...)
	for _, d := range n.Refers {
		f.Target.Refers[d] = w.listed[d]
	}
	w.asked.Refers = append(w.asked.Refers, n.Refers...)
	s := n.Source[src.Place]
	for _, tag := range slices.Concat(s.Read, s.Resolve) {
		src.Tags[tag] = w.source[tag]
	}
	for _, tag := range s.Read {
		src.Manifests[w.source[tag]] = w.manifests[w.source[tag]]
	}
	for _, d := range s.Manifests {
		if m, ok := w.manifests[d]; ok && m.MediaType != "" {
			src.Manifests[d] = m
		} else {
			src.Failed[d.String()] = Failure{Kind: providers.NotFound, Reason: "gone"}
		}
	}
	subjects := slices.Clone(s.Referrers)
	for _, q := range s.Rechecks {
		if w.busy {
			src.PutOff[q.Root] = true
			continue
		}
		subjects = append(subjects, q.Subject)
	}
	for _, d := range subjects {
		src.Referrers[d] = w.referrers[d]
		if src.Referrers[d] == nil {
			src.Referrers[d] = []v1.Descriptor{}
		}
	}
	for _, d := range s.Checked {
		src.Checked[d] = time.Time{}
	}
	w.asked.Tags = append(w.asked.Tags, n.Tags...)
	w.asked.Probe = append(w.asked.Probe, n.Probe...)
	was := w.asked.Source[src.Place]
	was.Manifests = append(was.Manifests, s.Manifests...)
	was.Referrers = append(was.Referrers, subjects...)
	was.Read = append(was.Read, s.Read...)
	was.Resolve = append(was.Resolve, s.Resolve...)
	w.asked.Source[src.Place] = was
}

// apply carries p out, and fails the test where something is put before what it needs.
func (w *world) apply(p Plan) {
	w.t.Helper()
	app := w.repos["app"]
	for _, img := range p.Images {
		for n := range img.nodes() {
			for _, b := range n.Blobs {
				if b.Have == Here && !app.has[b.Digest] || b.Have == Shared && !app.has[b.Digest] {
					w.t.Errorf("blob %s is called %s and is not there", w.name(b.Digest), b.Have)
				}
				app.has[b.Digest] = b.Have != Foreign
			}
			for _, c := range n.Children {
				if !app.has[c.Digest] {
					w.t.Errorf("%s is put before its child %s", w.name(n.Digest), w.name(c.Digest))
				}
			}
			app.has[n.Digest] = true
			if n.Fallback {
				w.listed[n.Subject] = append(w.listed[n.Subject], n.Digest)
			}
			if n.Tag != "" {
				app.tags[n.Tag] = n.Digest
			}
			if n.Source.Hex != "" {
				w.names[n.Digest] = "rewritten " + w.name(n.Source)
			}
		}
		source := img.Root.Digest
		if img.Root.Source.Hex != "" {
			source = img.Root.Source
		}
		for _, t := range img.Tags {
			app.tags[t.Name] = img.Root.Digest
			w.ours[t.Name] = state.TargetTag{Name: t.Name, Rule: img.Rule, Source: source, Digest: img.Root.Digest,
				Selection: img.Selection, PutAt: p.At}
		}
		for _, m := range img.Merged {
			w.ours[m.Tag] = state.TargetTag{Name: m.Tag, Source: m.Digest, Digest: m.Digest, Selection: MergedSelection, VerifiedAt: p.At}
		}
	}
	w.remember(p)
}

// remember records what the plan found to be in step.
func (w *world) remember(p Plan) {
	for _, f := range p.Found {
		w.ours[f.Tag] = state.TargetTag{Name: f.Tag, Rule: f.Rule, Source: f.Source, Digest: f.Digest,
			Selection: f.Selection, VerifiedAt: p.At}
	}
}

func (w *world) name(d v1.Hash) string {
	if n, ok := w.names[d]; ok {
		return n
	}
	return d.Hex[:8]
}

// steps tells p in the words of the tests.
func (w *world) steps(p Plan) string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for i := range p.Images {
		img := &p.Images[i]
		for n := range img.nodes() {
			if n.Here && n.Digest != img.Root.Digest {
				continue
			}
			for _, b := range n.Blobs {
				switch b.Have {
				case Upload:
					say("copy %s", w.name(b.Digest))
				case Mount:
					say("mount %s from %s", w.name(b.Digest), b.From[0])
				case Foreign:
					say("leave %s", w.name(b.Digest))
				}
			}
			name := w.name(n.Digest)
			switch {
			case n.Source.Hex != "":
				name = "rewritten " + w.name(n.Source)
			case n.Subject.Hex != "" && n.Fallback:
				name += " listed for " + w.name(n.Subject)
			}
			switch {
			case n.Digest != img.Root.Digest && n.Tag == "":
				say("put %s", name)
			case n.Tag != "":
				subject, suffix, _ := providers.ReferrerTag(n.Tag)
				say("put %s as %s%s", name, w.name(subject), suffix)
			case len(img.Tags) == 0 && !n.Here:
				say("put %s", name)
			}
			if n.Digest == img.Root.Digest {
				for _, t := range img.Tags {
					w.sayTag(say, name, t)
				}
			}
		}
	}
	for _, r := range p.Kept {
		say("%s %s", r.Kind, cmpOr(r.Tag, r.Ref))
	}
	return strings.Join(out, "; ")
}

func (w *world) sayTag(say func(string, ...any), name string, t Tag) {
	switch {
	case t.Why == New:
		say("put %s as %s", name, t.Name)
	case t.Why.Puts():
		say("%s %s to %s", t.Why, t.Name, name)
	default:
		say("%s %s", t.Why, t.Name)
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
