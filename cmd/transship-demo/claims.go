package main

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers/registrytest/content"
)

// A claim is a sentence, and whether the counts bear it out.
type claim struct {
	Text  string `json:"text"`
	Holds bool   `json:"holds"`
}

// The passes that claims are about, by name.
const (
	passPlan      = "plan"
	passFirst     = "first sync"
	passMoved     = "one tag moved"
	passUnchanged = "nothing changed"
	passCheck     = "check"
)

// claims states what passes show. Numbers in the texts are those that were
// counted at the registries; what they are held against is computed from the
// images themselves.
func (w *world) claims(passes []pass) []claim {
	by := map[string]pass{}
	for _, p := range passes {
		by[p.Name] = p
	}
	shape := w.stuff.corpus.Shape()
	return []claim{
		planned(by[passPlan]),
		once(by[passFirst], shape),
		mounted(by[passFirst], shape),
		mountless(by[passFirst], shape),
		moved(by[passMoved], w.stuff.fresh()),
		unchanged(by[passUnchanged], shape),
	}
}

func planned(p pass) claim {
	home := p.side("home")
	return claim{
		Text: fmt.Sprintf("The plan took %s, %s and %s.", count(home.Requests.ManifestGets, "manifest read", "manifest reads"),
			count(home.Requests.BlobGets, "blob read", "blob reads"), count(p.writes(), "write", "writes")),
		Holds: len(p.Sides) > 0 && p.writes() == 0 && home.Requests.BlobGets == 0,
	}
}

// once is the first promise: a layer leaves the source once, whatever the number
// of targets and repositories.
func once(p pass, shape content.Shape) claim {
	home := p.side("home")
	most := int64(0)
	for _, t := range home.counts.Digests {
		most = max(most, t.Reads)
	}
	n := len(home.counts.Digests)
	return claim{
		Text: fmt.Sprintf("%d of %d blobs left the source, each %s, for two targets: %s of %s.",
			n, shape.Blobs, times(most), size(home.BytesOut), size(shape.UniqueBytes)),
		Holds: n == shape.Blobs && most == 1 && home.BytesOut == shape.UniqueBytes,
	}
}

func mounted(p pass, shape content.Shape) claim {
	west := p.side("west")
	return claim{
		Text: fmt.Sprintf("west was sent %s, %s, and mounted them in %s more.",
			count(west.Blobs.Copied, "blob", "blobs"), size(west.BytesIn), count(west.Blobs.Mounted, "place", "places")),
		Holds: west.Blobs.Copied == int64(shape.Blobs) && west.BytesIn == shape.UniqueBytes &&
			west.Blobs.Mounted == int64(shape.Mounts) && west.Blobs.Present == 0,
	}
}

func mountless(p pass, shape content.Shape) claim {
	north := p.side("north")
	return claim{
		Text: fmt.Sprintf("north mounts nothing and was sent %s, %s, one for each repository: from here, not from the source.",
			count(north.Blobs.Copied, "blob", "blobs"), size(north.BytesIn)),
		Holds: north.Blobs.Copied == int64(shape.Blobs+shape.Mounts) && north.BytesIn == shape.SummedBytes && north.Blobs.Present == 0,
	}
}

func moved(p pass, fresh []content.Blob) claim {
	home, west, north := p.side("home"), p.side("west"), p.side("north")
	bytes, n := int64(0), int64(len(fresh))
	for _, b := range fresh {
		bytes += b.Size
	}
	return claim{
		Text: fmt.Sprintf("The moved tag took %s and %s at the source, %s, and %s at the targets.",
			count(home.Requests.ManifestGets, "manifest read", "manifest reads"), count(home.Requests.BlobGets, "blob read", "blob reads"),
			size(home.BytesOut), count(west.Requests.ManifestPuts+north.Requests.ManifestPuts, "manifest put", "manifest puts")),
		Holds: home.Requests.ManifestGets == 1 && home.BytesOut == bytes && home.Requests.BlobGets == n &&
			west.Requests.ManifestPuts == 1 && north.Requests.ManifestPuts == 1 &&
			west.Blobs.Copied+west.Blobs.Mounted == n && north.Blobs.Copied == n,
	}
}

func unchanged(p pass, shape content.Shape) claim {
	home, west, north := p.side("home").Requests, p.side("west").Requests, p.side("north").Requests
	return claim{
		Text: fmt.Sprintf("The unchanged pass took %d HEADs and %s at the source and %s at the targets: %s, %s.",
			home.Heads, count(home.Lists, "list", "lists"), count(west.Lists+north.Lists, "list", "lists"),
			count(home.ManifestGets+west.ManifestGets+north.ManifestGets, "manifest read", "manifest reads"), count(p.writes(), "write", "writes")),
		Holds: len(p.Sides) > 0 && p.writes() == 0 && home.Heads <= int64(shape.Tags) &&
			home.Total == home.Heads+home.Lists && west.Total == west.Lists && north.Total == north.Lists,
	}
}

// writes is how many requests wanted to change a registry.
func (p pass) writes() int64 {
	var n int64
	for _, t := range p.Sides {
		n += t.counts.Writes()
	}
	return n
}

// fresh is the blobs that only the moved tag's new image has.
func (c *collection) fresh() []content.Blob {
	known := map[v1.Hash]bool{}
	for _, e := range c.corpus {
		for _, m := range e.Manifest.All() {
			for _, b := range m.Blobs {
				known[b.Digest] = true
			}
		}
	}
	var fresh []content.Blob
	for _, b := range c.moved.Manifest.Blobs {
		if !known[b.Digest] {
			fresh = append(fresh, b)
		}
	}
	return fresh
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("up to %d times", n)
}

// count prints n with its noun.
func count(n int64, one, many string) string {
	switch n {
	case 0:
		return "no " + many
	case 1:
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
