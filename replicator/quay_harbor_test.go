package replicator

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/all"
	"github.com/transship/transship/providers/harbor/harbortest"
	"github.com/transship/transship/providers/quay/quaytest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"

	"github.com/google/go-containerregistry/pkg/authn"
)

// A lab is a plain registry "src", from which a Quay is filled, and from that a
// Harbor: in its project acme, and in one that is not there.
type lab struct {
	*rig
	quay   *quaytest.Server
	harbor *harbortest.Server
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{quay: quaytest.New(t, quaytest.Options{}), harbor: harbortest.New(t, harbortest.Options{})}
	src := registrytest.New(t, registrytest.Options{})
	l.rig = &rig{t: t, now: time.Now(), clients: map[string]providers.Registry{},
		servers: map[string]*registrytest.Server{"src": src, "quay": l.quay.Server, "harbor": l.harbor.Server}}
	l.harbor.Project("acme", harbortest.Project{})
	set, err := policy.Parse("test.yaml", fmt.Appendf(nil, `
registries:
  src: {host: %q, provider: oci, plainHTTP: true}
  quay: {host: %q, provider: quay, plainHTTP: true}
  harbor: {host: %q, provider: harbor, plainHTTP: true}
rules:
  - {name: in, from: {registry: src}, to: [{registry: quay, repository: "acme/{{.Repository}}"}], referrers: {recheck: 1ns}}
  - name: out
    from: {registry: quay, repositories: {include: ["acme/**"]}}
    to: [{registry: harbor, repository: "{{.Repository}}"}, {registry: harbor, repository: "nope/{{.Repository}}"}]
    referrers: {recheck: 1ns}
  - {name: home, from: {registry: harbor, repositories: {include: [acme/twice]}}, to: [{registry: src}]}
`, src.Host(), l.quay.Host(), l.harbor.Host()))
	if err != nil {
		t.Fatal(err)
	}
	l.set = set
	token := ""
	for name, who := range map[string]authn.AuthConfig{"src": {},
		"quay":   {Username: "acme+sync", Password: l.quay.Account("acme+sync", quaytest.Admin("acme"))},
		"harbor": {Username: "robot$sync", Password: l.harbor.Robot("robot$sync", harbortest.On("acme", harbortest.Writer...))}} {
		o := all.Options{Host: l.servers[name].Host(), PlainHTTP: true, Push: name != "src", Authenticator: authn.FromConfig(who),
			Retry: all.Retry{Tries: 2, Min: time.Millisecond, Max: time.Millisecond}}
		if name == "quay" {
			token = l.quay.Token("acme+sync")
			o.QuayToken = func() (string, error) { return token, nil }
		}
		provider := map[string]string{"src": "oci"}[name]
		if provider == "" {
			provider = name
		}
		reg, err := all.Open(provider, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { reg.Close() })
		l.clients[name] = reg
	}
	l.openState(filepath.Join(t.TempDir(), "state.db"))
	return l
}

// only runs one rule, and fails the test for any failure but those that are allowed.
func (l *lab) only(rule, but string) map[string]registrytest.Counts {
	l.t.Helper()
	var rules []policy.Rule
	for _, r := range l.set.Rules {
		if r.Name == rule {
			rules = append(rules, r)
		}
	}
	jobs, problems, err := l.Expand(l.t.Context(), rules, nil)
	if err != nil || len(problems) > 0 {
		l.t.Fatalf("expand: %v, %v", err, problems)
	}
	before := map[string]registrytest.Counts{}
	for name, s := range l.servers {
		before[name] = s.Counts()
	}
	reports, err := l.RunAll(l.t.Context(), "test", jobs, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, rep := range reports {
		if text := fmt.Sprint(rep.Err, rep.Failures); !rep.OK() && (but == "" || !strings.Contains(text, but)) {
			l.t.Errorf("%s: %s", rep.Key, text)
		}
	}
	counts := map[string]registrytest.Counts{}
	for name, s := range l.servers {
		counts[name] = s.Counts().Sub(before[name])
	}
	return counts
}

// From a plain registry to Quay, and from there to Harbor: indexes, referrers and
// cosign's tags arrive whole; a pass over what has not changed writes nothing; and a
// new signature is found at once. A project that is not there is named, is not made,
// and holds up nothing.
func TestQuayAndHarbor(t *testing.T) {
	l := newLab(t)
	image := content.Image("a", []content.Blob{content.Layer("l", 5000)})
	index := content.Index([]*content.Manifest{image, content.Image("b", nil)})
	sbom := content.Refer(index, "application/x.sbom", "sbom")
	l.load("app", index, "v1", "latest")
	cosign := content.Image("cosign's", nil)
	tag := providers.FallbackTag(index.Digest) + ".sig"
	l.load("app", cosign, tag)

	missing := "there is no project nope"
	l.only("in", "")
	l.quay.Later(2 * time.Hour)
	l.only("out", missing)
	for name, s := range map[string]*registrytest.Server{"quay": l.quay.Server, "harbor": l.harbor.Server} {
		for _, ref := range []string{"v1", "latest", tag} {
			if err := s.Verify("acme/app", ref); err != nil {
				t.Errorf("%s %s: %v", name, ref, err)
			}
		}
		if list := s.Referrers("acme/app", index.Digest); len(list) != 1 || list[0].Digest != sbom.Digest {
			t.Errorf("%s: referrers %v", name, list)
		}
		if _, fallback := s.Tags("acme/app")[providers.FallbackTag(index.Digest)]; fallback {
			t.Errorf("%s has a fallback index", name)
		}
	}
	if len(l.harbor.Projects()) != 1 {
		t.Errorf("projects %v", l.harbor.Projects())
	}

	writes := []registrytest.Class{registrytest.ManifestPut, registrytest.UploadPost, registrytest.Mount, registrytest.UploadPut}
	reads := []registrytest.Class{registrytest.ManifestGet, registrytest.BlobGet}
	for _, rule := range []string{"in", "out"} {
		l.only(rule, missing) // what the first pass has learned may be written once more to state
		for name, c := range l.only(rule, missing) {
			if c.Of(writes...) != 0 || name != "src" && c.Of(reads...) != 0 {
				t.Errorf("an unchanged pass of %s asked %s %v", rule, name, c.Requests)
			}
			if name != "src" && c.Of(registrytest.ManifestHead) != 0 {
				t.Errorf("an unchanged pass of %s sent %d HEADs to %s", rule, c.Of(registrytest.ManifestHead), name)
			}
		}
	}

	late := content.Refer(index, "application/x.late", "late")
	l.load("app", index, "v1")
	l.only("in", "")
	l.only("out", missing)
	if list := l.harbor.Referrers("acme/app", index.Digest); len(list) != 2 {
		t.Errorf("after %s was added Harbor has %v", late.Digest, list)
	}
}

// What a pass that was broken off has put at Quay by its digest alone is gone when the
// next one comes, whatever state says: the index that is put then is whole (I1).
func TestQuayForgetsChildren(t *testing.T) {
	l := newLab(t)
	one, two := content.Image("one", nil), content.Image("two", []content.Blob{content.Layer("two", 3000)})
	l.load("app", content.Index([]*content.Manifest{one, two}), "v1")
	l.quay.Before(func(r *http.Request, c registrytest.Class) *registrytest.Fault {
		if c == registrytest.ManifestPut && strings.HasSuffix(r.URL.Path, "/v1") {
			return &registrytest.Fault{Status: 403, Code: "DENIED", Message: "not now"}
		}
		return nil
	})
	l.only("in", "not now")
	l.quay.Before(nil)
	l.quay.Later(2 * time.Hour)
	l.now = l.now.Add(2 * time.Hour)
	l.only("in", "")
	if err := l.quay.Verify("acme/app", "v1"); err != nil {
		t.Error(err)
	}
}

// An image at Harbor that was signed twice by cosign: the first signature, which no
// tag names any more and which names no subject, stays an accessory there. It is read
// once, and not brought, as nobody would find it.
func TestSignedTwiceAtHarbor(t *testing.T) {
	l := newLab(t)
	image := content.Image("a", []content.Blob{content.Layer("l", 5000)})
	first, second := content.Image("first", nil), content.Image("second", nil)
	tag := providers.FallbackTag(image.Digest) + ".sig"
	trial.Copy(t, l.clients["harbor"], "acme/twice", "v1", image)
	trial.Copy(t, l.clients["harbor"], "acme/twice", tag, first)
	trial.Copy(t, l.clients["harbor"], "acme/twice", tag, second)

	l.only("home", "")
	if m, ok := l.servers["src"].Resolve("acme/twice", tag); !ok || m.Digest != second.Digest {
		t.Errorf("%s names %s, want %s", tag, m.Digest, second.Digest)
	}
	if _, ok := l.servers["src"].Resolve("acme/twice", first.Digest.String()); ok {
		t.Error("the first signature was brought")
	}
	for range 2 {
		l.now = l.now.Add(time.Hour)
		if n := l.only("home", ""); n["harbor"].Of(registrytest.ManifestGet) > 0 || n["src"].Writes() > 0 {
			t.Errorf("nothing has changed: %s\n%s", n["harbor"], n["src"])
		}
	}
}
