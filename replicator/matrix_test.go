package replicator_test

import (
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// This file is a table: kinds of content down, abilities of registries across,
// and in each cell what has to become of the one at the other. matrix_cell_test.go
// fills the cells in.

// A feature is one kind of content, and what a rule says of it.
type feature struct {
	name string
	rule string // further lines of the rule
	load func(f *fixture)
}

var features = []feature{
	{"plain image", "", func(f *fixture) { f.tag(image("a"), "v1", "latest") }},
	{"index", "", func(f *fixture) { f.tag(index("a", "b"), "v1") }},
	{"nested index", "", func(f *fixture) { f.tag(content.Index([]*content.Manifest{image("a"), index("b", "c")}), "v1") }},
	{"attestations of buildkit", "", func(f *fixture) { f.tag(content.Attested([]*content.Manifest{image("a"), image("b")}), "v1") }},
	{"signature by the API", "", func(f *fixture) {
		a := image("a")
		content.Refer(a, "application/x.signature", "s1", content.Annotate("by", "someone"))
		content.Refer(a, "application/x.signature", "s2")
		f.tag(a, "v1")
	}},
	{"signatures by cosign's tags", "", func(f *fixture) {
		a := image("a")
		f.tag(a, "v1")
		f.cosign(a, "sig", "att", "sbom")
	}},
	{"signature of a signature", "", func(f *fixture) {
		a := image("a")
		s := content.Refer(a, "application/x.signature", "s1")
		content.Refer(content.Refer(s, "application/x.signature", "s2"), "application/x.signature", "s3")
		f.tag(a, "v1")
		f.cosign(s, "sig")
	}},
	{"signature of a child by the API", "    referrers: {children: true}\n", func(f *fixture) {
		ix := index("a", "b")
		content.Refer(content.Refer(ix.Children[1], "application/x.signature", "s1"), "application/x.signature", "s2")
		f.tag(ix, "v1")
	}},
	{"signature of a child by cosign's tag", "", func(f *fixture) {
		ix := index("a", "b")
		f.tag(ix, "v1")
		f.cosign(ix.Children[1], "sig")
	}},
	{"SBOM with an empty config", "", func(f *fixture) {
		a := image("a")
		r := content.Artifact(string(content.SBOM), []content.Blob{content.Empty()}, content.Subject(a))
		a.Referrers = append(a.Referrers, r)
		f.tag(a, "v1")
	}},
	{"referrer of a digest", "    tags: {include: [none], digests: [\"" + image("a").Digest.String() + "\"]}\n", func(f *fixture) {
		a := image("a")
		content.Refer(a, "application/x.signature", "s1")
		f.untagged(a)
	}},
	{"fallback tag at the source", "", func(f *fixture) {
		a := image("a")
		content.Refer(content.Refer(a, "application/x.signature", "s1"), "application/x.signature", "s2")
		f.fallbackTags(a)
		f.tag(a, "v1")
	}},
	{"artifact", "", func(f *fixture) {
		f.tag(content.Artifact("application/x.model", []content.Blob{content.Layer("model", 60)}), "v1")
	}},
	{"Docker list", "", func(f *fixture) {
		child := func(name string) *content.Manifest {
			return content.Image(name, []content.Blob{content.Layer(name, 50)}, content.Docker())
		}
		f.tag(content.Index([]*content.Manifest{child("a"), child("b")}, content.Docker()), "v1")
	}},
	{"Docker schema 1", "", func(f *fixture) {
		f.tag(content.Schema1(f.repo, "v1", []content.Blob{content.LayerOf(types.DockerLayer, "old", 70)}), "v1")
	}},
	{"foreign layer", "", func(f *fixture) {
		f.tag(content.Image("a", []content.Blob{content.Foreign("windows", 900), content.Layer("a", 50)}), "v1")
	}},
	{"Helm chart", "", func(f *fixture) { f.tag(content.Helm("chart"), "1.0.0") }},
	{"zstd layer", "", func(f *fixture) {
		f.tag(content.Image("a", []content.Blob{content.LayerOf(types.OCILayerZStd, "a", 50)}), "v1")
	}},
	{"some platforms, sparse", "    platforms: {only: [linux/arm64], mode: sparse}\n", func(f *fixture) {
		ix := content.Attested([]*content.Manifest{image("a"), image("b")})
		content.Refer(ix, "application/x.signature", "s1")
		f.sparse(ix, "v1", ix.Children[2:])
	}},
	{"some platforms, rewritten", "    platforms: {only: [linux/arm64], mode: rewrite}\n", func(f *fixture) {
		ix := content.Attested([]*content.Manifest{image("a"), image("b")})
		content.Refer(ix, "application/x.signature", "s1")
		f.rewritten(ix, "v1", ix.Children[2:])
		f.cosign(ix.Children[2], "sig")
	}},
}

// An ability is what makes one pair of registries another than the modern one:
// quirks, what the policy says of the target, and what differs from "whole".
type ability struct {
	name           string
	source, target func(q *registrytest.Quirks)
	says           string // of the target registry
	lists          listing
	hidden         bool // the source's API referrers are to be found by nobody
	fallbackTags   bool // the source has a fallback tag for each of them
	prepare        func(target *registrytest.Server, repo string)
	want           map[string]outcome // by feature; "" is every other
	quick          []string           // the features that are enough every day
}

// Features that show what moves under tags, and how layers get there.
var few = []string{"plain image", "nested index", "signatures by cosign's tags", "signature of a signature", "some platforms, rewritten"}

// A listing is how clients of the target find out who refers to what.
type listing string

const (
	byAPI      listing = ""
	byFallback listing = "fallback"
	byNothing  listing = "nothing"
)

// An outcome is what becomes of a feature.
type outcome struct {
	kind string
	says string // a part of the hint that a person gets
}

var (
	whole = outcome{"whole", ""} // bit for bit, with all referrers listed; nothing is written again

	// tried: the first pass fails and learns from it; later ones refuse it unasked.
	triedSchema1 = outcome{"tried", "pull and push the image at the source"}
	triedSparse  = outcome{"tried", "platforms.mode: rewrite"}
	// refused: it is in no pass more than a line of the plan.
	refusedSchema1 = outcome{"refused", "pull and push the image at the source"}
	refusedSparse  = outcome{"refused", "platforms.mode: rewrite"}
	// failed: each pass tries, and says what a person has to do.
	failedMissing = outcome{"failed", "create the repository first"}
)

// most is what a registry does that takes neither schema 1 nor sparse indexes,
// which are not asked for before.
var most = map[string]outcome{"Docker schema 1": triedSchema1, "some platforms, sparse": triedSparse}

var abilities = []ability{
	{name: "modern", want: most},
	{name: "no referrers API", target: func(q *registrytest.Quirks) { q.NoReferrers = true }, lists: byFallback, want: most},
	{name: "no referrers API, as said", target: func(q *registrytest.Quirks) { q.NoReferrers = true },
		says: "capabilities: {referrers: no}", lists: byFallback, want: most},
	{name: "lies about the referrers API", target: func(q *registrytest.Quirks) { q.NoReferrers, q.LyingSubject = true, true },
		lists: byFallback, want: most},
	{name: "no referrers API, no If-Match", target: func(q *registrytest.Quirks) { q.NoReferrers, q.NoIfMatch = true, true },
		lists: byFallback, want: most},
	{name: "fallback tags are the digest", target: func(q *registrytest.Quirks) { q.NoReferrers, q.NormalizedFallback = true, true },
		lists: byNothing, want: most},
	{name: "takes everything", target: func(q *registrytest.Quirks) { q.SparseIndex, q.Schema1 = true, true }},
	{name: "takes little, as said", says: "capabilities: {sparseIndex: no, schema1: no}",
		want: map[string]outcome{"Docker schema 1": refusedSchema1, "some platforms, sparse": refusedSparse}},
	{name: "no mounts", target: func(q *registrytest.Quirks) { q.NoMount = true }, want: most, quick: few},
	{name: "mounts lie", target: func(q *registrytest.Quirks) { q.MountLies = true }, want: most, quick: few},
	{name: "hidden layers", target: func(q *registrytest.Quirks) { q.HiddenLayers = true }, want: most, quick: few},
	{name: "immutable as ECR", target: immutable(registrytest.ImmutableECR), want: most},
	{name: "immutable as ACR", target: immutable(registrytest.ImmutableACR), want: most, quick: few},
	{name: "immutable as Quay", target: immutable(registrytest.ImmutableQuay), want: most, quick: few},
	{name: "immutable as Harbor", target: immutable(registrytest.ImmutableHarbor), want: most, quick: few},
	{name: "immutable as Google's", target: immutable(registrytest.ImmutableGAR), want: most, quick: few},
	{name: "immutable, no referrers API", target: func(q *registrytest.Quirks) {
		q.NoReferrers, q.Immutable = true, registrytest.ImmutableQuay
	}, lists: byFallback, want: most},
	{name: "must exist first as at ECR", target: func(q *registrytest.Quirks) { q.MustExist = registrytest.MustExistAsECR },
		want: map[string]outcome{"": failedMissing}, quick: few},
	{name: "must exist first as at Google's", target: func(q *registrytest.Quirks) { q.MustExist = registrytest.MustExistAsGAR },
		want: map[string]outcome{"": failedMissing}, quick: few},
	{name: "must exist first, and does", target: func(q *registrytest.Quirks) { q.MustExist = registrytest.MustExistAsECR },
		prepare: func(s *registrytest.Server, repo string) { s.Create(repo) }, want: most, quick: few},

	{name: "from no referrers API", source: func(q *registrytest.Quirks) { q.NoReferrers = true }, fallbackTags: true, want: most},
	{name: "from no referrers API to none", source: func(q *registrytest.Quirks) { q.NoReferrers = true }, fallbackTags: true,
		target: func(q *registrytest.Quirks) { q.NoReferrers = true }, lists: byFallback, want: most},
	{name: "from both forms", fallbackTags: true, want: most},
	{name: "from where fallback tags are the digest", hidden: true,
		source: func(q *registrytest.Quirks) { q.NoReferrers, q.NormalizedFallback = true, true }, fallbackTags: true, want: most},
	{name: "from where only tags tell", source: func(q *registrytest.Quirks) { q.NoReferrers = true }, hidden: true, want: most},
}

func immutable(how registrytest.Immutable) func(q *registrytest.Quirks) {
	return func(q *registrytest.Quirks) { q.Immutable = how }
}

func image(name string) *content.Manifest {
	return content.Image(name, []content.Blob{content.Layer("base", 80), content.Layer(name, 50)})
}

func index(names ...string) *content.Manifest {
	var children []*content.Manifest
	for _, name := range names {
		children = append(children, image(name))
	}
	return content.Index(children)
}

// outcomeOf is what the table says of f.
func (a ability) outcomeOf(f feature) outcome {
	for _, key := range []string{f.name, ""} {
		if want, ok := a.want[key]; ok {
			return want
		}
	}
	return whole
}
