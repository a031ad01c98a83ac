package gitlab

import (
	"errors"
	"strings"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/gitlab/gitlabtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// push brings an image by its config and layers.
func push(t *testing.T, r *Registry, repo string, m *content.Manifest, tags ...string) error {
	t.Helper()
	for _, b := range m.Blobs {
		if _, err := r.Put(t.Context(), repo, b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
			return err
		}
	}
	for _, tag := range tags {
		if _, err := r.PutManifest(t.Context(), repo, tag, m.Manifest, providers.PutOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// wants checks an error's kind, and that what it says to do holds words.
func wants(t *testing.T, what string, err error, kind providers.Kind, hint string) {
	t.Helper()
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != kind || !strings.Contains(e.Hint, hint) {
		t.Errorf("%s: %v (%+v)", what, err, e)
	}
}

// TestPush: an image goes below its project, at most two elements deep, and its
// repository is made by that.
func TestPush(t *testing.T) {
	s := gitlabtest.New(t, gitlabtest.Options{})
	s.Project("acme/team/app")
	r := open(t, s, as("sync", s.Token("sync", all...)))
	m := content.Image("x", []content.Blob{content.Layer("l", 1000)})
	for _, repo := range []string{"acme/team/app", "acme/team/app/api", "acme/team/app/api/v2"} {
		if err := r.Ensure(t.Context(), repo); err != nil {
			t.Error(err)
		}
		if err := push(t, r, repo, m, "v1"); err != nil {
			t.Error(err)
		}
		if got, ok := s.Resolve(repo, "v1"); !ok || got.Digest != m.Digest {
			t.Errorf("%s holds %v", repo, got.Digest)
		}
	}
	if n := s.Calls()["project"]; n != 1 {
		t.Errorf("asked %d times for one project", n)
	}
}

// TestNoProject: a path below no project, or too deep below one, is told before it is
// pushed to, and where GitLab lets nobody look by the refusal of the push.
func TestNoProject(t *testing.T) {
	s := serve(t, gitlabtest.Options{})
	full, blind := open(t, s, as("sync", s.Token("sync", all...))), open(t, s, as("blind", s.Token("blind", "write_registry")))
	for _, repo := range []string{"acme/none/api", "acme/app/a/b/c"} {
		wants(t, "ensure "+repo, full.Ensure(t.Context(), repo), providers.NotFound, "make the project")
		if err := blind.Ensure(t.Context(), repo); err != nil {
			t.Errorf("who may not look: %v", err)
		}
		for _, r := range []*Registry{full, blind} {
			wants(t, "push to "+repo, r.TryPush(t.Context(), repo), providers.Denied, "two path elements")
		}
	}
	c, err := full.Caps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, good := range map[string]bool{"acme/app": true, "acme/a/b/c/d/app/x/y": true, "app": false, "Acme/app": false,
		strings.Repeat("a/", 23) + "a": false} {
		if err := c.Names.Check(name); (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMayNotPush: tokens that may read only, of either kind.
func TestMayNotPush(t *testing.T) {
	s := serve(t, gitlabtest.Options{})
	user, deploy := s.DeployToken("acme/app", "read_registry")
	for _, sign := range []func(*Options){as("reader", s.Token("reader", "read_registry")), as(user, deploy)} {
		r := open(t, s, sign)
		if _, err := r.Head(t.Context(), "acme/app/api", "v1"); err != nil {
			t.Error(err)
		}
		wants(t, "push", r.TryPush(t.Context(), "acme/app/api"), providers.Denied, "write_registry")
	}
	user, deploy = s.DeployToken("acme/app", "read_registry", "write_registry")
	if err := push(t, open(t, s, as(user, deploy)), "acme/app/api", content.Image("y", nil), "v2"); err != nil {
		t.Error(err)
	}
}

// TestTagRules: a tag that a rule of the project makes immutable is a conflict, a
// protected one is not for us.
func TestTagRules(t *testing.T) {
	s := serve(t, gitlabtest.Options{Quirks: func(q *gitlabtest.Quirks) { q.Immutable, q.Protected = "v*", "release-*" }})
	r := open(t, s, as("sync", s.Token("sync", all...)))
	m := content.Image("other", nil)
	wants(t, "move an immutable tag", push(t, r, "acme/app/api", m, "v1"), providers.Conflict, "immutable")
	wants(t, "push a protected tag", push(t, r, "acme/app/api", m, "release-1"), providers.Denied, "protects")
	if err := push(t, r, "acme/app/api", m, "v2", "latest"); err != nil {
		t.Errorf("other tags: %v", err)
	}
}

// TestReferrers: there is no referrers API, and a fallback tag is read as the digest
// that it spells, whether or not it is taken; so none is written, and who refers to
// what is told by the registry's own list.
func TestReferrers(t *testing.T) {
	for name, stores := range map[string]bool{"refused": false, "taken, and not found again": true} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, gitlabtest.Options{Quirks: func(q *gitlabtest.Quirks) { q.StoresFallback = stores }})
			r := open(t, s, as("sync", s.Token("sync", all...)))
			subject := content.Image("subject", []content.Blob{content.Layer("l", 1000)})
			sig := content.Artifact("application/x.sig", nil, content.Subject(subject))
			if err := push(t, r, "acme/app/api", subject, "signed"); err != nil {
				t.Fatal(err)
			}
			if err := push(t, r, "acme/app/api", sig, sig.Digest.String()); err != nil {
				t.Fatal(err)
			}
			_, err := r.Referrers(t.Context(), "acme/app/api", subject.Digest)
			wants(t, "the referrers API", err, providers.Unsupported, "")
			tag, list := content.Fallback(subject, sig)
			_, err = r.PutManifest(t.Context(), "acme/app/api", tag, list.Manifest, providers.PutOptions{})
			if (err == nil) != stores {
				t.Errorf("put of the fallback tag: %v", err)
			}
			if d, err := r.Head(t.Context(), "acme/app/api", tag); err != nil || d.Digest != subject.Digest {
				t.Errorf("the fallback tag names %s (%v), want the subject", d.Digest, err)
			}
			if c, err := r.Caps(t.Context()); err != nil || c.Referrers != providers.No || c.Fallback != providers.No {
				t.Errorf("caps %+v (%v)", c, err)
			}
			rows, err := trial.Collect(r.Rows(t.Context(), "acme/app/api"))
			found := false
			for _, row := range rows {
				found = found || row.Digest == sig.Digest && row.Subject == subject.Digest
			}
			if err != nil || !found {
				t.Errorf("the list does not tell who refers to what: %+v (%v)", rows, err)
			}
		})
	}
}

// TestCosign: cosign's tags are tags as others.
func TestCosign(t *testing.T) {
	s := serve(t, gitlabtest.Options{})
	r := open(t, s, as("sync", s.Token("sync", all...)))
	m := content.Image("sig", nil)
	tag := "sha256-" + strings.Repeat("a", 64) + ".sig"
	if err := push(t, r, "acme/app/api", m, tag); err != nil {
		t.Fatal(err)
	}
	if d, err := r.Head(t.Context(), "acme/app/api", tag); err != nil || d.Digest != m.Digest {
		t.Errorf("%s (%v)", d.Digest, err)
	}
}

// TestMount: between projects, with a token that may pull from the one.
func TestMount(t *testing.T) {
	s := serve(t, gitlabtest.Options{})
	s.Project("acme/lib")
	b := content.Layer("base", 1000)
	if err := s.Load("acme/lib/go", content.Image("lib", []content.Blob{b}), "v1"); err != nil {
		t.Fatal(err)
	}
	r := open(t, s, as("sync", s.Token("sync", all...)))
	mounted, _, err := r.Mount(t.Context(), "acme/app/api", "acme/lib/go", b.Digest)
	if err != nil || !mounted || !s.Has("acme/app/api", b.Digest) {
		t.Errorf("mounted %v (%v)", mounted, err)
	}
	user, deploy := s.DeployToken("acme/app", "read_registry", "write_registry")
	other := open(t, s, as(user, deploy))
	if mounted, _, err := other.Mount(t.Context(), "acme/app/web", "acme/lib/go", b.Digest); err != nil || mounted {
		t.Errorf("a token of another project: mounted %v (%v)", mounted, err)
	}
}

// TestTokensEnd: the registry's tokens live five minutes, in the middle of a copy too.
func TestTokensEnd(t *testing.T) {
	s := serve(t, gitlabtest.Options{})
	r := open(t, s, as("sync", s.Token("sync", all...)))
	m := content.Image("x", []content.Blob{content.Layer("l", 1000)})
	for _, b := range m.Blobs {
		s.ExpireTokens()
		if _, err := r.Put(t.Context(), "acme/app/api", b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s.ExpireTokens()
	if _, err := r.PutManifest(t.Context(), "acme/app/api", "v9", m.Manifest, providers.PutOptions{}); err != nil {
		t.Error(err)
	}
	s.ExpireTokens()
	if _, err := trial.Collect(r.Rows(t.Context(), "acme/app/api")); err != nil {
		t.Error(err)
	}
}

// TestThrottle: 429 is waited for, at the registry and at GitLab, and narrows.
func TestThrottle(t *testing.T) {
	s := serve(t, gitlabtest.Options{})
	r := open(t, s, as("sync", s.Token("sync", all...)))
	width := r.Limiter().Width()
	s.Next(1, registrytest.ManifestHead, registrytest.Fault{Status: 429, Code: "TOOMANYREQUESTS", RetryAfter: "0"})
	if _, err := r.Head(t.Context(), "acme/app/api", "v1"); err != nil {
		t.Error(err)
	}
	if r.Limiter().Width() >= width {
		t.Errorf("the width stayed at %d", width)
	}
	s.Fail(1, "tags", gitlabtest.Fault{Status: 429, JSON: `{}`, RetryAfter: "0"})
	if _, err := trial.Collect(r.Rows(t.Context(), "acme/app/api")); err != nil {
		t.Error(err)
	}
	s.Fail(1, "group", gitlabtest.Fault{Status: 429, JSON: `{"message":{"error":"This endpoint has been requested too many times. Try again later."}}`, RetryAfter: "0"})
	if _, err := trial.Collect(r.Repositories(t.Context(), "acme/")); err != nil || s.Calls()["group"] != 2 {
		t.Errorf("%v (%v)", s.Calls(), err)
	}
	s.Fail(9, "group", gitlabtest.Fault{Status: 429, JSON: `{}`})
	_, err := trial.Collect(r.Repositories(t.Context(), "acme/"))
	wants(t, "again and again", err, providers.Throttled, "")
}
