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
		renewed(by[passFirst]),
		moved(by[passMoved], w.stuff.fresh()),
		unchanged(by[passUnchanged], shape),
	}
}

func planned(p pass) claim {
	aws := p.side("aws")
	return claim{
		Text: fmt.Sprintf("The plan took %s, %s and %s.", count(aws.Requests.ManifestGets, "manifest read", "manifest reads"),
			count(aws.Requests.BlobGets, "blob read", "blob reads"), count(p.writes(), "write", "writes")),
		Holds: len(p.Sides) > 0 && p.writes() == 0 && aws.Requests.BlobGets == 0,
	}
}

// once is the first promise: a layer leaves the source once, whatever the number
// of targets and repositories.
func once(p pass, shape content.Shape) claim {
	aws := p.side("aws")
	most := int64(0)
	for _, t := range aws.counts.Digests {
		most = max(most, t.Reads)
	}
	n := len(aws.counts.Digests)
	return claim{
		Text: fmt.Sprintf("%d of %d blobs left the source, each %s, for two targets: %s of %s.",
			n, shape.Blobs, times(most), size(aws.BytesOut), size(shape.UniqueBytes)),
		Holds: n == shape.Blobs && most == 1 && aws.BytesOut == shape.UniqueBytes,
	}
}

func mounted(p pass, shape content.Shape) claim {
	google, azure := p.side("google"), p.side("azure")
	c := claim{
		Text: fmt.Sprintf("Each target was sent %s, %s, and mounted them in %s more.",
			count(google.Blobs.Copied, "blob", "blobs"), size(google.BytesIn), count(google.Blobs.Mounted, "place", "places")),
		Holds: true,
	}
	for _, t := range []tally{google, azure} {
		c.Holds = c.Holds && t.Blobs.Copied == int64(shape.Blobs) && t.BytesIn == shape.UniqueBytes &&
			t.Blobs.Mounted == int64(shape.Mounts) && t.Blobs.Present == 0
	}
	return c
}

// renewed is about tokens: those of the clouds, which may end in the middle of a copy.
func renewed(p pass) claim {
	aws, google, azure := p.side("aws"), p.side("google"), p.side("azure")
	return claim{
		Text: fmt.Sprintf("Signing in to the first sync took %s at aws, %d at google and %d at azure: they are renewed in the middle of copies, and nothing is read or sent twice for it.",
			count(aws.Requests.Tokens, "token", "tokens"), google.Requests.Tokens, azure.Requests.Tokens),
		Holds: aws.Requests.Tokens > 0 && google.Requests.Tokens > 0 && azure.Requests.Tokens > 0 &&
			google.BytesIn == aws.BytesOut && azure.BytesIn == aws.BytesOut,
	}
}

func moved(p pass, fresh []content.Blob) claim {
	aws, google, azure := p.side("aws"), p.side("google"), p.side("azure")
	bytes, n := int64(0), int64(len(fresh))
	for _, b := range fresh {
		bytes += b.Size
	}
	return claim{
		Text: fmt.Sprintf("The moved tag took %s and %s at the source, %s, and %s at the targets.",
			count(aws.Requests.ManifestGets, "manifest read", "manifest reads"), count(aws.Requests.BlobGets, "blob read", "blob reads"),
			size(aws.BytesOut), count(google.Requests.ManifestPuts+azure.Requests.ManifestPuts, "manifest put", "manifest puts")),
		Holds: aws.Requests.ManifestGets == 1 && aws.BytesOut == bytes && aws.Requests.BlobGets == n &&
			google.Requests.ManifestPuts == 1 && azure.Requests.ManifestPuts == 1 &&
			google.Blobs.Copied+google.Blobs.Mounted == n && azure.Blobs.Copied+azure.Blobs.Mounted == n,
	}
}

// unchanged is the second promise: one list for each repository and one of the
// repositories, whatever the number of tags. AWS is asked for an account's setting, too.
func unchanged(p pass, shape content.Shape) claim {
	aws, google, azure := p.side("aws").Requests, p.side("google").Requests, p.side("azure").Requests
	most := int64(shape.Repositories + 1)
	return claim{
		Text: fmt.Sprintf("The unchanged pass over %d tags took %s at the source and %d at the targets, and not one request for a tag.",
			shape.Tags, count(aws.Lists, "list", "lists"), google.Lists+azure.Lists),
		Holds: len(p.Sides) > 0 && p.writes() == 0 && aws.Lists <= most && google.Lists <= most && azure.Lists <= most &&
			aws.Total == aws.Lists+aws.API && aws.API <= 1 && google.Total == google.Lists && azure.Total == azure.Lists,
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
