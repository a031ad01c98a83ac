package main

import "github.com/transship/transship/providers/registrytest/content"

// A collection is what the source registry holds, and the one tag that will move.
type collection struct {
	corpus content.Corpus
	moved  content.Entry // a tag of the corpus, with what it names later
	err    error
}

// collect makes the images: base images of two tags, tools for two architectures,
// applications with signatures and an SBOM, and an artifact that is no image. All
// applications stand on the same base layers.
func (s studio) collect() (*collection, error) {
	c := &collection{}
	c.add("base/go", c.must(s.index()), "1.26", "latest")
	c.add("base/go", c.must(s.image("amd64", "runtime", "amd64")), "1.26-minimal")

	tool := c.must(s.index("gofmt"))
	c.attach(s.sbom("tools/gofmt", tool, "runtime", "std", "gofmt"))
	c.add("tools/gofmt", tool, "1.26", "latest")
	c.add("tools/compile", c.must(s.index("compile")), "1.26")

	app := func(layers ...string) *content.Manifest {
		return c.must(s.image("amd64", append(base("amd64"), layers...)...))
	}
	shop := app("net", "shop-2")
	c.attach(s.sbom("team/shop", shop, "net", "shop-2"))
	c.add("team/shop", app("net", "shop-1"), "v1.0")
	c.add("team/shop", shop, "v1.1", "stable")
	c.sign(s.signer, "team/shop", shop)
	c.add("team/cart", app("net", "cart-1"), "v2.0")
	c.add("team/cart", app("net", "cart-2"), "v2.1")
	c.add("team/search", app("search"), "v0.9")

	c.add("docs/go", content.Artifact("application/vnd.example.docs", []content.Blob{s.layers["docs"].Blob}), "1.26")
	c.moved = content.Entry{Repo: "team/shop", Manifest: app("net", "shop-3"), Tags: []string{"stable"}}
	return c, c.err
}

func (c *collection) add(repo string, m *content.Manifest, tags ...string) {
	c.corpus = append(c.corpus, content.Entry{Repo: repo, Manifest: m, Tags: tags})
}

// sign adds m's signature under its tag.
func (c *collection) sign(by signer, repo string, m *content.Manifest) {
	if c.err != nil {
		return
	}
	tag, sig, err := by.tagged(repo, m)
	c.attach(err)
	c.add(repo, sig, tag)
}

// must notes the first error, so that the list of images reads as one.
func (c *collection) must(m *content.Manifest, err error) *content.Manifest {
	c.attach(err)
	if err != nil {
		return &content.Manifest{}
	}
	return m
}

func (c *collection) attach(err error) {
	if c.err == nil {
		c.err = err
	}
}
