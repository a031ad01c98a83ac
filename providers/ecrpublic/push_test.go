package ecrpublic

import (
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/ecrpublic/ecrpublictest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// push brings an image by its config and layers.
func push(t *testing.T, r *Registry, repo string, m *content.Manifest, refs ...string) error {
	t.Helper()
	for _, b := range m.Blobs {
		if _, err := r.Put(t.Context(), repo, b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
			return err
		}
	}
	for _, ref := range refs {
		if _, err := r.PutManifest(t.Context(), repo, ref, m.Manifest, providers.PutOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// TestEnsure: a repository is made before it is pushed to, once, below an alias of
// our account; that somebody was faster is fine.
func TestEnsure(t *testing.T) {
	s := serve(t, ecrpublictest.Options{})
	signedIn(t, s.AWS().IAM().User("sync"))
	r := open(t, s)
	m := content.Image("new", []content.Blob{content.Layer("l", 1000)})
	never := open(t, s, func(o *Options) { o.Never = true })
	wants(t, "a push before", push(t, never, "acme/team/new", m, "v1"), providers.NotFound, "made before")
	for range 2 {
		if err := r.Ensure(t.Context(), "acme/team/new"); err != nil {
			t.Fatal(err)
		}
	}
	if err := push(t, r, "acme/team/new", m, "v1"); err != nil {
		t.Error(err)
	}
	if calls := s.Calls(); calls["CreateRepository"] != 1 || calls["DescribeRepositories"] != 1 {
		t.Errorf("%v", calls)
	}
	s.AWS().Fail(1, "DescribeRepositories", ecrtest.Fault{Code: "RepositoryNotFoundException", Message: "not yet"})
	if err := r.Ensure(t.Context(), "acme/team/app"); err != nil {
		t.Errorf("somebody was faster: %v", err)
	}
	wants(t, "another's alias", r.Ensure(t.Context(), "docker/library/new"), providers.Denied, "account that has the alias")
	if err := never.Ensure(t.Context(), "acme/team/never"); err != nil || s.Exists("acme/team/never") {
		t.Errorf("made %v (%v)", s.Exists("acme/team/never"), err)
	}
}

// TestDeletedMeanwhile: a repository that somebody deletes under us is made anew by
// the pushes themselves.
func TestDeletedMeanwhile(t *testing.T) {
	s := serve(t, ecrpublictest.Options{})
	signedIn(t, s.AWS().IAM().User("sync"))
	r := open(t, s)
	if err := r.Ensure(t.Context(), "acme/team/new"); err != nil {
		t.Fatal(err)
	}
	s.Drop("acme/team/new")
	if err := push(t, r, "acme/team/new", content.Image("new", nil), "v1"); err != nil {
		t.Error(err)
	}
	if n := s.Calls()["CreateRepository"]; n != 2 {
		t.Errorf("made %d times", n)
	}
}

// TestMayNot: who may not make a repository is told which permission is missing; who
// may not even look leaves it to the push, which tells it, too.
func TestMayNot(t *testing.T) {
	s := serve(t, ecrpublictest.Options{})
	iam := s.AWS().IAM()
	signedIn(t, iam.User("maker", "ecr-public:Describe*", "ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"))
	r := open(t, s)
	wants(t, "make", r.Ensure(t.Context(), "acme/team/new"), providers.Denied, "grant ecr-public:CreateRepository")
	wants(t, "push", r.TryPush(t.Context(), "acme/team/app"), providers.Denied, "grant ecr-public:InitiateLayerUpload on arn:aws:ecr-public::123456789012:repository/team/app")
	signedIn(t, iam.User("blind", "ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken", "ecr-public:InitiateLayerUpload"))
	r = open(t, s)
	if err := r.Ensure(t.Context(), "acme/team/new"); err != nil {
		t.Error(err)
	}
	wants(t, "push", r.TryPush(t.Context(), "acme/team/new"), providers.NotFound, "made before")
	if err := r.TryPush(t.Context(), "acme/team/app"); err != nil {
		t.Error(err)
	}
	signedIn(t, iam.UserOf("222222222222", "stranger"))
	wants(t, "another account", open(t, s).TryPush(t.Context(), "acme/team/app"), providers.Denied, "grant")
}

// TestNames: an alias and a repository.
func TestNames(t *testing.T) {
	for name, good := range map[string]bool{"acme/app": true, "acme/team/app": true, "app": false, "acme/": false, "Acme/app": false, "1acme/app": false,
		"acme/" + strings.Repeat("a", 260): false} {
		if err := caps().Names.Check(name); (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReferrers: by the API, whatever the owner; the lists in bulk show them as
// manifests without a tag.
func TestReferrers(t *testing.T) {
	s := serve(t, ecrpublictest.Options{})
	signedIn(t, s.AWS().IAM().User("sync"))
	r := open(t, s)
	subject := content.Image("subject", nil)
	sig := content.Artifact("application/x.sig", nil, content.Subject(subject))
	for m, ref := range map[*content.Manifest]string{subject: "signed", sig: sig.Digest.String()} {
		if err := push(t, r, "acme/team/app", m, ref); err != nil {
			t.Fatal(err)
		}
	}
	list, err := r.Referrers(t.Context(), "acme/team/app", subject.Digest)
	if err != nil || len(list) != 1 || list[0].Digest != sig.Digest {
		t.Errorf("%v (%v)", list, err)
	}
	if c, err := r.Caps(t.Context()); err != nil || c.Referrers != providers.Yes || c.Subjects {
		t.Errorf("%+v (%v)", c, err)
	}
}

// TestMount: it is not known whether it works, so it is tried; a refusal opens an
// upload instead.
func TestMount(t *testing.T) {
	for name, mounts := range map[string]bool{"refused": false, "taken": true} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, ecrpublictest.Options{Quirks: func(q *ecrpublictest.Quirks) { q.Mounts = mounts }})
			signedIn(t, s.AWS().IAM().User("sync"))
			s.Create("acme/team/web")
			r := open(t, s)
			b := content.Layer("l", 1000)
			if c, err := r.Caps(t.Context()); err != nil || c.Mount != providers.Maybe {
				t.Errorf("%+v (%v)", c, err)
			}
			mounted, session, err := r.Mount(t.Context(), "acme/team/web", "acme/team/app", b.Digest)
			if err != nil || mounted != mounts {
				t.Fatalf("mounted %v (%v)", mounted, err)
			}
			if !mounted {
				if _, err := r.Put(t.Context(), "acme/team/web", b.Descriptor, b.Content, providers.UploadOptions{From: session}); err != nil {
					t.Error(err)
				}
			}
			if !s.Has("acme/team/web", b.Digest) {
				t.Error("the layer is not there")
			}
		})
	}
}

// TestTagsMove: no tag is immutable at ECR Public.
func TestTagsMove(t *testing.T) {
	s := serve(t, ecrpublictest.Options{})
	signedIn(t, s.AWS().IAM().User("sync"))
	r := open(t, s)
	m := content.Image("other", nil)
	if err := push(t, r, "acme/team/app", m, "v1"); err != nil {
		t.Fatal(err)
	}
	if d, err := r.Head(t.Context(), "acme/team/app", "v1"); err != nil || d.Digest != m.Digest {
		t.Errorf("%s (%v)", d.Digest, err)
	}
	if c, err := r.Caps(t.Context()); err != nil || c.Immutable != providers.No {
		t.Errorf("%+v (%v)", c, err)
	}
}

// TestThrottle: 429 without a Retry-After is waited for and narrows, as do AWS's
// throttles; requests keep within the published rates.
func TestThrottle(t *testing.T) {
	s := serve(t, ecrpublictest.Options{})
	signedIn(t, s.AWS().IAM().User("sync"))
	r := open(t, s)
	width := r.Limiter().Width()
	s.Next(1, registrytest.ManifestHead, registrytest.Fault{Status: 429, Code: "TOOMANYREQUESTS", Message: "Rate exceeded"})
	if _, err := r.Head(t.Context(), "acme/team/app", "v1"); err != nil {
		t.Error(err)
	}
	narrow := r.Limiter().Width()
	s.AWS().Fail(1, "DescribeImages", ecrtest.Fault{Code: "ThrottlingException", Message: "Rate exceeded"})
	if _, err := trial.Collect(r.Rows(t.Context(), "acme/team/app")); err != nil {
		t.Error(err)
	}
	if narrow >= width || r.Limiter().Width() >= width {
		t.Errorf("the width went from %d to %d to %d", width, narrow, r.Limiter().Width())
	}
	for _, q := range caps().Quotas {
		if q.N <= 0 || q.Per != time.Second || q.Source == "" {
			t.Errorf("quota %+v", q)
		}
	}
}
