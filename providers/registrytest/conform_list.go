package registrytest

import (
	"fmt"
	"slices"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/content"
)

// rows: every tag is listed once; where rows have digests, they are those that
// Head resolves the tags to.
func (c *conformer) rows() {
	a, b := content.Image("a", []content.Blob{content.Layer("l", 100)}), content.Image("b", nil)
	c.push("team/app", a, "v1", "latest")
	c.push("team/app", b, "v2", "a-1_2.3")
	tags := c.tags("team/app")
	if len(tags) != 4 {
		c.Errorf("listed %v, want v1, latest, v2 and a-1_2.3", tags)
	}
	caps, err := c.Caps(c.ctx)
	c.must("caps", err)
	for tag, digest := range tags {
		d, err := c.Head(c.ctx, "team/app", tag)
		c.must("head "+tag, err)
		if (caps.BulkDigests || digest.Hex != "") && digest != d.Digest {
			c.Errorf("tag %s is listed as %s and resolves to %s", tag, digest, d.Digest)
		}
	}
}

// pages: nothing is lost or doubled at the boundaries of pages, however the
// registry pages.
func (c *conformer) pages() {
	if !c.needsServer() {
		c.manyTags(7)
		return
	}
	for name, change := range map[string]func(*Quirks){
		"by link":          func(q *Quirks) { q.PageMax = 4 },
		"by absolute link": func(q *Quirks) { q.PageMax, q.AbsoluteLink = 4, true },
		"refusing large n": func(q *Quirks) { q.PageMax, q.PageDefault, q.RefuseOverMax = 4, 4, true },
		"not at all":       func(q *Quirks) { q.IgnorePaging = true },
		"reversed":         func(q *Quirks) { q.PageMax, q.Order = 4, Reverse },
	} {
		for _, n := range []int{3, 4, 5, 8, 9} {
			sub := c.h.start(c.T)
			sub.server.Set(change)
			if got := sub.manyTags(n); got != n {
				c.Errorf("%s: %d tags, listed %d", name, n, got)
			}
		}
	}
	c.pagesByLast()
}

// pagesByLast: where there is no Link, a page as long as was asked for is not
// taken for the last one.
func (c *conformer) pagesByLast() {
	c.server.Set(func(q *Quirks) { q.Listing = Listing{NoLink: true} })
	for _, n := range []int{999, 1000, 1001, 2000} {
		repo := fmt.Sprint("many/", n)
		for i := range n {
			c.must("load", c.server.Load(c.at(repo), content.Image("many", nil), fmt.Sprintf("v%d", i)))
		}
		if got := len(c.tags(repo)); got != n {
			c.Errorf("by last: %d tags, listed %d", n, got)
		}
	}
}

// manyTags pushes n tags and returns how many of them are listed.
func (c *conformer) manyTags(n int) int {
	c.Helper()
	m := content.Image("many", nil)
	c.push("app", m)
	for i := range n {
		c.put("app", fmt.Sprintf("v%d", i), m)
	}
	return len(c.tags("app"))
}

// repositories: those whose names begin with the prefix, as text.
func (c *conformer) repositories() {
	for _, repo := range []string{"team/app", "team/app/sub", "team-b/app", "other"} {
		c.push(repo, content.Image("x", nil), "v1")
	}
	for prefix, want := range map[string][]string{
		"":       {"other", "team-b/app", "team/app", "team/app/sub"},
		"team/":  {"team/app", "team/app/sub"},
		"team":   {"team-b/app", "team/app", "team/app/sub"},
		"absent": nil,
	} {
		got, err := c.list(prefix)
		if c.h.NoCatalog {
			c.fails("repositories without a catalog", providers.Unsupported, err)
			continue
		}
		if err != nil || !slices.Equal(got, want) {
			c.Errorf("repositories of %q: %v (%v), want %v", prefix, got, err, want)
		}
	}
}

func (c *conformer) list(prefix string) ([]string, error) {
	var names []string
	for name, err := range c.Repositories(c.ctx, prefix) {
		if err != nil {
			return names, err
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// stopEarly: whoever stops listening to a listing stops it.
func (c *conformer) stopEarly() {
	c.push("one", content.Image("x", nil), "v1", "v2", "v3")
	c.push("two", content.Image("x", nil), "v1")
	for range c.Rows(c.ctx, "one") {
		break
	}
	for range c.Repositories(c.ctx, "") {
		break
	}
	if n := len(c.tags("one")); n != 3 {
		c.Errorf("listed %d tags after a listing that was broken off, want 3", n)
	}
}
