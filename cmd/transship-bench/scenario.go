package main

import (
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// A scenario is one kind of work under one kind of weather.
type scenario struct {
	name  string // for --scenario
	title string // for tables
	about string
	work  string // of works

	Source, Target registrytest.Quirks
	Targets        int
	OnDisk         bool // targets keep blobs in files

	// Clouds has an ECR, an Artifact Registry and an ACR instead; peers that have no
	// sign-in of these are derived.
	Clouds bool

	given  given
	harm   harm
	chunks string // told to tools that can be told, see job
}

// given is what the targets have before the measured pass.
type given string

const (
	nothing    given = ""
	everything given = "everything"
	allButOne  given = "all but one tag"
)

// harm is what happens in the middle of the measured pass, once.
type harm string

const (
	noHarm      harm = ""
	resetSource harm = "the source resets the connection at three quarters of the largest layer"
	resetUpload harm = "the target resets the connection at three quarters of the largest layer"
	killHalfway harm = "kill -9 when half of the bytes have left the source, then the same again"
)

// scenarios lists all, in the order in which they are run and printed. rate is
// how much of a body is sent before it is reset, see faults.
func scenarios(seed uint64, scale float64) []scenario {
	near := registrytest.Quirks{}
	source, target := far(40*time.Millisecond), far(60*time.Millisecond)
	return []scenario{
		{name: "first", title: "first sync", work: "baseline", Targets: 1,
			about: "everything to an empty target, no latency"},
		{name: "first-bearer", title: "first sync, bearer tokens", work: "baseline", Targets: 1,
			Source: bearer(near), Target: bearer(near),
			about: "the same with a token service at both registries"},
		{name: "first-far", title: "first sync, 40/60 ms", work: "baseline", Targets: 1, Source: source, Target: target,
			about: "the same with 40 ms a request at the source and 60 ms at the target, and two round trips more a connection"},
		{name: "first-capped", title: "first sync, 50 MB/s", work: "baseline", Targets: 1, Source: capped(50e6), Target: capped(50e6),
			about: "the same with 50 MB/s in each direction at each registry"},
		{name: "unchanged", title: "no change, 400 tags, 40/60 ms", work: "many", Targets: 1, Source: source, Target: target, given: everything,
			about: "a pass over 400 tags in 10 repositories that are at the target already"},
		{name: "unchanged-2000", title: "no change, one repository of 2,000 tags, 40/60 ms", work: "one", Targets: 1, Source: source, Target: target, given: everything,
			about: "a pass over 2,000 tags in one repository that are at the target already"},
		{name: "one-change", title: "one new tag among 400, 40/60 ms", work: "many", Targets: 1, Source: source, Target: target, given: allButOne,
			about: "a pass over the 400 tags after one was added"},
		{name: "shared", title: "30 repositories, 8 shared layers", work: "shared", Targets: 1,
			about: "everything to an empty target; each layer is in thirty repositories"},
		{name: "three-targets", title: "three targets", work: "baseline", Targets: 3,
			about: "everything to three empty targets; tools that know one target are run three times"},
		{name: "fat", title: "3.2 GB image", work: "fat", Targets: 1, OnDisk: true,
			about: "one image with layers of 2 GB and 1 GB"},
		{name: "fat-reset-source", title: "3.2 GB image, source reset at 1.5 GB of 2 GB", work: "fat", Targets: 1, OnDisk: true, harm: resetSource,
			about: "the same; the source resets the connection at 1.5 GB of the layer of 2 GB, once"},
		{name: "fat-reset-upload", title: "3.2 GB image, upload reset at 1.5 GB of 2 GB", work: "fat", Targets: 1, OnDisk: true, harm: resetUpload, chunks: "yes",
			about: "the same; the target resets the connection at 1.5 GB of the layer of 2 GB, once, and takes uploads in pieces"},
		{name: "fat-reset-whole", title: "3.2 GB image, upload reset at 1.5 GB of 2 GB, no pieces", work: "fat", Targets: 1, OnDisk: true, harm: resetUpload, chunks: "no",
			Target: registrytest.Quirks{Uploads: registrytest.Uploads{NoChunks: true}},
			about:  "the same at a target that refuses uploads in pieces"},
		{name: "faults", title: "faults: 5 % 503, 2 % resets, 0.5 % 429", work: "baseline", Targets: 1,
			Source: faulty(seed, scale, registrytest.Reset, registrytest.BlobGet),
			Target: faulty(seed, scale, registrytest.ResetUpload, registrytest.UploadPut, registrytest.UploadPatch),
			about:  "first sync with failing requests and bodies at both registries, the same ones for every tool"},
		{name: "kill", title: "kill -9 at half, then again", work: "baseline", Targets: 1, harm: killHalfway,
			about: "first sync, killed when half of the bytes have left the source, then run again; the figures are of both runs"},
		{name: "clouds", title: "no change, 100,000 tags in 1,000 repositories, ECR to Artifact Registry and ACR, 40/60 ms", work: "clouds", Targets: 2,
			Source: source, Target: target, Clouds: true, given: everything,
			about: "a pass over tags that are at both targets already; three clouds' emulators, asked by their own APIs"},
		{name: "random", title: "a random corpus", work: "random", Targets: 1,
			about: "everything of a corpus that --seed decides to an empty target"},
	}
}

// far is a registry at a distance: a round trip for each request, and two more for
// each connection, as TCP and TLS 1.3 take.
func far(roundTrip time.Duration) registrytest.Quirks {
	return registrytest.Quirks{Wire: registrytest.Wire{Latency: roundTrip, ConnectTrips: 2}}
}

func capped(bytesPerSecond int64) registrytest.Quirks {
	return registrytest.Quirks{Wire: registrytest.Wire{BytesPerSecond: bytesPerSecond}}
}

func bearer(q registrytest.Quirks) registrytest.Quirks {
	q.Auth = registrytest.Auth{Mode: registrytest.Bearer, Users: map[string]string{userName: password}}
	return q
}

// faulty is a registry that fails: bodies of some classes break within their first
// 2 MB, and any request may be answered 503, or 429 with a second to wait.
func faulty(seed uint64, scale float64, how registrytest.Break, classes ...registrytest.Class) registrytest.Quirks {
	return registrytest.Quirks{Seed: seed, Faults: []registrytest.Rule{
		{Rate: 0.05, Fault: registrytest.Unavailable("")},
		{Rate: 0.005, Fault: registrytest.Throttled("1")},
		{Rate: 0.02, Classes: classes, Fault: registrytest.Fault{Break: how}, Within: max(64, int64(2e6*scale))},
	}}
}

// login reports whether the registries want to know who asks.
func (s scenario) login() bool { return s.Source.Mode != registrytest.Open }

// added is the entry that comes to the source of allButOne: one more image over
// the layers of the first.
func added(c corpus) content.Entry {
	first := c.Corpus[0]
	return content.Entry{Repo: first.Repo, Tags: []string{"new"}, Manifest: content.Image(first.Repo+":new", first.Manifest.Blobs[1:])}
}

// minimum is the least that a pass of s over c takes.
func (s scenario) minimum(c corpus) minimum {
	if s.Clouds {
		return minimumOfLists(c.shape, int64(s.Targets))
	}
	switch s.given {
	case everything:
		return minimumOfNothing(c.shape)
	case allButOne:
		before, after := c.shape, append(append(content.Corpus{}, c.Corpus...), added(c)).Shape()
		return minimumOfOne(before, difference(after, before))
	}
	return minimumOfAll(c.shape, int64(s.Targets))
}

// difference is what after has more than before.
func difference(after, before content.Shape) content.Shape {
	return content.Shape{
		Repositories: after.Repositories - before.Repositories, Tags: after.Tags - before.Tags,
		Aliases: after.Aliases - before.Aliases, Manifests: after.Manifests - before.Manifests,
		Referrers: after.Referrers - before.Referrers, CosignTags: after.CosignTags - before.CosignTags,
		Blobs: after.Blobs - before.Blobs, Mounts: after.Mounts - before.Mounts,
		UniqueBytes: after.UniqueBytes - before.UniqueBytes, SummedBytes: after.SummedBytes - before.SummedBytes,
	}
}
