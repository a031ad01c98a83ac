package replicator_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/replicator"
)

var (
	page    = registrytest.Fault{HTML: "<html>please sign in</html>"}
	packed  = registrytest.Fault{Break: registrytest.Gzip}
	noEnd   = registrytest.Fault{Break: registrytest.Endless}
	drip    = registrytest.Fault{Break: registrytest.Drip, For: idle / 8}
	pretend = registrytest.Fault{Pretend: true}
	dripped = "slowly|no byte moved" // on a busy machine a drip may pause
	nextYr  = registrytest.Throttled("31536000")
)

// TestLies has a registry tell one lie at a time, at the source or at a target, and
// looks at what becomes of it. Whatever the lie: nothing incomplete or wrong gets a
// tag, what is not lied about arrives, the cost is bounded, the report says side,
// place, reason and what to do; and once the lie is over everything becomes equal.
func TestLies(t *testing.T) {
	const s, d = "src", "one"
	for _, tt := range replicator.Some(4, []lie{
		// A page for people instead of an answer, with status 200.
		{"page/ping", s, lies(0, page, registrytest.Ping), heals, "", 60},
		{"page/catalog", s, lies(0, page, registrytest.Catalog), stops, "web page", 10},
		{"page/tags", s, lies(0, page, registrytest.Tags), stops, "web page", 60},
		{"page/tags at the target", d, lies(0, page, registrytest.Tags), fails, "web page", 90},
		{"page/manifest HEAD", s, lies(0, page, registrytest.ManifestHead), heals, "", 60},
		{"page/manifest GET", s, lies(0, page, registrytest.ManifestGet), fails, "web page", 60},
		{"page/referrers, in passing", s, lies(2, page, registrytest.Referrers), heals, "", 60},
		{"page/blob", s, lies(0, page, registrytest.BlobGet), fails, "bytes", 70},
		{"page/mount", d, lies(0, page, registrytest.Mount), heals, "", 90},
		{"page/upload", d, lies(0, page, registrytest.UploadPost), fails, "", 90},
		{"page/upload's end", d, lies(0, page, registrytest.UploadPut), fails, "web page", 90},
		{"page/manifest PUT", d, lies(0, page, registrytest.ManifestPut), fails, "web page", 90},

		// Digests and answers that do not fit together.
		{"digest header wrong", s, is(func(q *registrytest.Quirks) { q.WrongDigestHeader = true }), stops, "", 90},
		{"digest header wrong at the target", d, is(func(q *registrytest.Quirks) { q.WrongDigestHeader = true }), heals, "", 90},
		{"HEAD and GET disagree", s, is(func(q *registrytest.Quirks) { q.HeadDisagrees = true }), heals, "", 60},
		{"HEAD and GET disagree at the target", d, is(func(q *registrytest.Quirks) { q.HeadDisagrees = true }), heals, "", 90},
		{"bit flipped in a manifest", s, lies(0, registrytest.Fault{Break: registrytest.Flip, At: 5}, registrytest.ManifestGet), fails, "digest", 60},
		{"bit flipped in a blob", s, lies(0, registrytest.Fault{Break: registrytest.Flip, At: 5}, registrytest.BlobGet), fails, "digest", 70},

		// Things that are said to be there, and are not.
		{"child missing", s, func(l *liar) { l.must(l.src().Remove(victim, l.m.Children[0].Digest.String())) }, fails, "not", 60},
		{"children missing at the target", d, func(l *liar) { l.must(l.servers["one"].LoadManifest(victim, l.m.Manifest, "v1")) }, heals, "", 90},
		{"ghost tags", s, is(func(q *registrytest.Quirks) { q.GhostTags = []string{"ghost"} }), heals, "", 70},
		{"ghost tags at the target", d, is(func(q *registrytest.Quirks) { q.GhostTags = []string{"v1", "ghost"} }), heals, "", 90},
		{"mount not done", d, is(func(q *registrytest.Quirks) { q.MountLies = true }), heals, "", 110},
		{"upload not stored, once", d, lies(1, pretend, registrytest.UploadPut), heals, "", 110},
		{"upload never stored", d, lies(0, pretend, registrytest.UploadPut), fails, "MANIFEST_BLOB_UNKNOWN", 140},
		{"upload not stored, manifest taken all the same", d, func(l *liar) {
			l.set("one", func(q *registrytest.Quirks) { q.Lax = true })
			lies(1, pretend, registrytest.UploadPut)(l)
		}, check, "", 90},
		{"manifest not stored, once", d, lies(1, pretend, registrytest.ManifestPut), heals, "", 110},
		{"manifest never stored", d, lies(0, pretend, registrytest.ManifestPut), fails, "", 110},
		{"tag never put", d, lies(0, pretend, tagPut), later, "", 90},

		// Answers without end.
		{"list in a circle", s, is(func(q *registrytest.Quirks) { q.Circle = true }), stops, "circle", 90},
		{"list in a circle at the target", d, func(l *liar) {
			l.must(l.servers["one"].Load(victim, l.m, "theirs"))
			l.set("one", func(q *registrytest.Quirks) { q.Circle = true })
		}, fails, "circle", 90},
		{"same page for ever", s, is(func(q *registrytest.Quirks) { q.SamePage, q.PageMax = true, 1000 }), heals, "", 90},
		{"list without end", s, lies(0, noEnd, registrytest.Tags), stops, "longer than any", 60},
		{"manifest without end", s, lies(0, noEnd, registrytest.ManifestGet), fails, "longer than any", 60},
		{"blob without end", s, lies(0, noEnd, registrytest.BlobGet), fails, "more than", 70},
		{"redirects in a circle", s, func(l *liar) {
			lies(0, registrytest.Fault{Status: 307, Location: l.src().URL() + "/v2/" + victim + "/blobs/round"}, registrytest.BlobGet)(l)
		}, fails, "307", 150},
		{"100,000 referrers", s, is(func(q *registrytest.Quirks) { q.ReferrersPage, q.MoreReferrers = 1000, crowd(100_000) }), stops, "referrers", 200},

		// Lengths that are none, and encodings that nobody asked for.
		{"blob shorter than it says", s, lies(0, registrytest.Fault{Break: registrytest.Long, At: 10}, registrytest.BlobGet), fails, "bytes", 70},
		{"blob's length cut", s, lies(0, registrytest.Fault{Break: registrytest.Short, At: 10}, registrytest.BlobGet), fails, "bytes", 70},
		{"gzip/manifest", s, lies(0, packed, registrytest.ManifestGet), fails, "gzip", 60},
		{"gzip/tags", s, lies(0, packed, registrytest.Tags), stops, "gzip", 60},
		{"gzip/blob", s, lies(0, packed, registrytest.BlobGet), fails, "", 70},
		{"gzip/referrers", s, lies(0, packed, registrytest.Referrers), fails, "gzip", 70},

		// Slow loris.
		{"drip/header", s, slowly(lies(0, registrytest.Fault{Break: registrytest.DripHeader, For: idle / 8}, registrytest.ManifestGet)), fails, "time", 60},
		{"drip/tags", s, slowly(lies(0, drip, registrytest.Tags)), stops, dripped, 60},
		{"drip/manifest", s, slowly(lies(0, drip, registrytest.ManifestGet)), fails, dripped, 60},
		{"drip/blob", s, slowly(lies(0, drip, registrytest.BlobGet)), fails, dripped, 70},
		{"drip/answer to an upload", d, slowly(lies(0, registrytest.Fault{Break: registrytest.DripHeader, For: idle / 8}, registrytest.UploadPut)), fails, "time", 120},

		// Where to go, and when to come back.
		{"redirect to a private host", s, lies(0, registrytest.Fault{Status: 307, Location: "http://169.254.169.254/blob"}, registrytest.BlobGet), fails, "private", 70},
		{"upload at a private host", d, lies(0, registrytest.Fault{Status: 202, Location: "http://127.0.0.2:1/upload"}, registrytest.UploadPost), fails, "private", 90},
		{"come back in a year", s, lies(0, nextYr, registrytest.ManifestGet), fails, "429", 60},
		{"come back in a year at the target", d, lies(0, nextYr, registrytest.UploadPost), fails, "429", 90},

		// Token services.
		{"token/none", s, signed(lies(0, registrytest.Fault{JSON: `{}`}, registrytest.Token)), stops, "token", 20},
		{"token/without end", s, signed(lies(0, noEnd, registrytest.Token)), stops, "longer than any", 20},
		{"token/none at the target", d, signed(lies(0, registrytest.Fault{JSON: `{}`}, registrytest.Token)), stops, "token", 20},
		{"token/slow", d, slowly(signed(lies(0, drip, registrytest.Token))), stops, dripped, 20},

		// Referrers that are none.
		{"referrers of others", s, func(l *liar) { l.set("src", func(q *registrytest.Quirks) { q.MoreReferrers = everybody(l) }) }, heals, "", 120},
		{"referrers that are not there", s, is(func(q *registrytest.Quirks) { q.MoreReferrers = crowd(5) }), heals, "", 120},
		{"referrers of others at the target", d, func(l *liar) { l.set("one", func(q *registrytest.Quirks) { q.MoreReferrers = everybody(l) }) }, heals, "", 120},
	}) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t)
		})
	}
}

// signed has the liar want tokens.
func signed(lie func(*liar)) func(*liar) {
	return func(l *liar) {
		l.set(l.side, func(q *registrytest.Quirks) {
			q.Mode, q.Users = registrytest.Bearer, map[string]string{l.side: l.secrets[l.side]}
		})
		lie(l)
	}
}

// crowd describes n manifests that are nowhere.
func crowd(n int) []v1.Descriptor {
	list := make([]v1.Descriptor, n)
	for i := range list {
		list[i] = v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: 3, Digest: hash("sha256:" + fmt.Sprintf("%064x", i))}
	}
	return list
}

// everybody describes all that the source has, so that what refers to one thing is
// listed for all, and everything in a circle.
func everybody(l *liar) (list []v1.Descriptor) {
	for _, repo := range []string{"app", "lib", victim} {
		for _, digest := range l.src().Manifests(repo) {
			m, _ := l.src().Resolve(repo, digest)
			list = append(list, m.Descriptor())
		}
	}
	slices.SortFunc(list, func(a, b v1.Descriptor) int { return strings.Compare(a.Digest.Hex, b.Digest.Hex) })
	return list
}
