package registrytest

import (
	"context"
	"slices"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/content"
)

// whoami: somebody with a name; a wrong credential is Denied, and so is nobody at
// a host that asks.
func (c *conformer) whoami() {
	for range 2 {
		who, err := c.Whoami(c.ctx)
		c.must("whoami", err)
		if who.Name == "" || who.From == "" {
			c.Errorf("whoami: %#v, want a name and where it was found", who)
		}
	}
	if c.h.WrongUser == nil {
		return
	}
	c.server.Set(func(q *Quirks) { q.Auth = c.h.Refusing })
	wrong := c.h.WrongUser(c.T, c.server)
	who, err := wrong.Whoami(c.ctx)
	c.fails("whoami with a wrong credential", providers.Denied, err)
	if who != (providers.Identity{}) {
		c.Errorf("whoami with a wrong credential: %v beside the error", who)
	}
}

// tryPush: nothing stays of it, in a repository or where there is none; whoever
// may not write is told so.
func (c *conformer) tryPush() {
	c.push("app", content.Image("x", nil), "v1")
	before, _ := c.list("")
	for range 2 {
		c.must("try to push", c.TryPush(c.ctx, "app"))
	}
	if err := c.TryPush(c.ctx, "not/there"); err != nil {
		c.fails("try to push where no repository is", providers.NotFound, err)
	}
	if c.h.TryLeaves {
		before = append(before, "not/there")
	}
	if after, _ := c.list(""); !slices.Equal(before, after) {
		c.Errorf("after trying to push there are %v, want %v", after, before)
	}
	for _, err := range c.Rows(c.ctx, "not/there") {
		c.fails("rows of a repository that was only tried", providers.NotFound, err)
	}
	if n := len(c.tags("app")); n != 1 {
		c.Errorf("%d tags after trying to push, want 1", n)
	}
	c.tryPushAtServer()
}

// tryPushAtServer: every upload that was begun is given up, whether or not the
// host knows how; and read-only is Denied.
func (c *conformer) tryPushAtServer() {
	if !c.needsServer() {
		return
	}
	before := c.server.Counts()
	c.must("try to push", c.TryPush(c.ctx, "app"))
	if n := c.server.OpenUploads(); n != 0 {
		c.Errorf("%d uploads are left open", n)
	}
	c.server.Next(1, UploadDelete, Fault{Status: 405, Code: "UNSUPPORTED"})
	c.must("try to push at a host that cannot cancel", c.TryPush(c.ctx, "app"))
	did := c.server.Counts().Sub(before)
	if did.Of(UploadPut, UploadPatch, ManifestPut) != 0 || did.Of(UploadDelete) != 2 {
		c.Errorf("trying to push did %v", did.Requests)
	}
	c.server.Set(func(q *Quirks) { q.ReadOnly = true })
	c.fails("try to push without the right to", providers.Denied, c.TryPush(c.ctx, "app"))
	ctx, cancel := context.WithCancel(c.ctx)
	cancel()
	if err := c.TryPush(ctx, "app"); err != context.Canceled {
		c.Errorf("try to push with a context that has ended: %v", err)
	}
}

// names: the rules in Caps take what this suite pushes to.
func (c *conformer) names() {
	caps, err := c.Caps(c.ctx)
	c.must("caps", err)
	for _, repo := range []string{"app", "team/app", "team/app/sub"} {
		if err := caps.Names.Check(c.at(repo)); err != nil && c.Ensure(c.ctx, repo) == nil {
			c.Errorf("Caps refuse a name that can be made: %v", err)
		}
	}
	if n := caps.ManifestLimit(); n <= 0 || n > providers.MaxManifest {
		c.Errorf("the largest manifest is %d bytes, want at most %d", n, providers.MaxManifest)
	}
}
