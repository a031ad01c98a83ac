package main

import (
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

// A pass is one command, and what it made the registries do.
type pass struct {
	Name  string  `json:"name"`
	Sides []tally `json:"registries"`
}

// A tally is what one registry saw of a pass.
type tally struct {
	Registry string   `json:"registry"`
	Requests requests `json:"requests"`
	BytesOut int64    `json:"bytesOut"` // blob bodies read from it
	BytesIn  int64    `json:"bytesIn"`  // and sent to it
	Blobs    blobs    `json:"blobs"`

	counts registrytest.Counts
}

// requests are those to the registry itself and to its cloud's API by what they are
// for, and apart from them those that signing in and redirects take.
type requests struct {
	Lists        int64 `json:"lists"` // pages of repositories, manifests and tags, by whichever API
	Heads        int64 `json:"heads"`
	ManifestGets int64 `json:"manifestGets"`
	Referrers    int64 `json:"referrers"`
	BlobGets     int64 `json:"blobGets"`
	Mounts       int64 `json:"mounts"`
	Uploads      int64 `json:"uploads"` // POST, PUT and what else an upload takes
	ManifestPuts int64 `json:"manifestPuts"`
	API          int64 `json:"api"` // what else the cloud's own API was asked
	Other        int64 `json:"other"`
	Total        int64 `json:"total"` // of the above

	Pings     int64 `json:"pings"`
	Tokens    int64 `json:"tokens"`
	Redirects int64 `json:"redirects"` // reads from the storage host
}

// blobs is how what the new manifests of a target name came to be there.
type blobs struct {
	Copied  int64 `json:"copied"`
	Mounted int64 `json:"mounted"`
	Present int64 `json:"present"` // was there before
}

// apart is what signing in and redirects took.
func (r requests) apart() int64 { return r.Pings + r.Tokens + r.Redirects }

func tallyOf(name string, c registrytest.Counts, api calls) tally {
	r := requests{
		Lists:        c.Of(registrytest.Catalog, registrytest.Tags) + api.lists,
		Heads:        c.Of(registrytest.ManifestHead, registrytest.BlobHead),
		ManifestGets: c.Of(registrytest.ManifestGet),
		Referrers:    c.Of(registrytest.Referrers),
		BlobGets:     c.Of(registrytest.BlobGet),
		Mounts:       c.Of(registrytest.Mount),
		Uploads: c.Of(registrytest.UploadPost, registrytest.UploadPatch, registrytest.UploadPut,
			registrytest.UploadStatus, registrytest.UploadDelete),
		ManifestPuts: c.Of(registrytest.ManifestPut),
		API:          api.other,
		Other:        c.Of(registrytest.ManifestDelete, registrytest.BlobDelete, registrytest.Other) - api.asOther,
		Total:        c.Total() - api.asOther + api.lists + api.other,
		Pings:        c.Of(registrytest.Ping),
		Tokens:       c.Of(registrytest.Token) + api.tokens,
		Redirects:    c.Of(registrytest.Storage),
	}
	return tally{Registry: name, Requests: r, BytesOut: c.BytesOut, BytesIn: c.BytesIn, counts: c}
}

// measure runs f and returns what the registries saw meanwhile.
func (w *world) measure(name string, f func() error) (pass, error) {
	had := make([]map[place]bool, len(w.sides()))
	before := make([]calls, len(w.sides()))
	for i, s := range w.sides() {
		s.ResetCounts()
		before[i] = s.calls()
		had[i] = s.manifests()
	}
	err := f()
	p := pass{Name: name}
	for i, s := range w.sides() {
		t := tallyOf(s.name, s.Counts(), s.calls().less(before[i]))
		t.Blobs.Copied, t.Blobs.Mounted = uploads(t.counts), t.counts.MountsAccepted
		t.Blobs.Present = s.named(had[i]) - t.Blobs.Copied - t.Blobs.Mounted
		p.Sides = append(p.Sides, t)
	}
	return p, err
}

// side returns what one registry saw.
func (p pass) side(name string) tally {
	i := slices.IndexFunc(p.Sides, func(t tally) bool { return t.Registry == name })
	if i < 0 {
		return tally{}
	}
	return p.Sides[i]
}

// uploads is how many blobs were sent, to whichever repository.
func uploads(c registrytest.Counts) int64 {
	var n int64
	for _, t := range c.Repos {
		n += t.Uploads
	}
	return n
}

// A place is a digest in a repository.
type place struct{ repo, digest string }

// manifests lists what s holds.
func (s *side) manifests() map[place]bool {
	all := map[place]bool{}
	for _, repo := range s.Repositories() {
		for _, digest := range s.Manifests(repo) {
			all[place{repo, digest}] = true
		}
	}
	return all
}

// named counts the blobs, once a repository, that the manifests name which s did
// not hold before.
func (s *side) named(before map[place]bool) int64 {
	blobs := map[place]bool{}
	for m := range s.manifests() {
		if before[m] {
			continue
		}
		for _, b := range s.blobsOf(m) {
			blobs[place{m.repo, b.Digest.String()}] = true
		}
	}
	return int64(len(blobs))
}

func (s *side) blobsOf(m place) []v1.Descriptor {
	raw, ok := s.Resolve(m.repo, m.digest)
	if !ok {
		return nil
	}
	c, err := providers.Parse(raw)
	if err != nil {
		return nil // the check finds it
	}
	return c.Blobs()
}
