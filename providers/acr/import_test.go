package acr

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// importer opens a registry that may import.
func importer(t *testing.T, s *acrtest.Server, a acrtest.App) *Registry {
	t.Helper()
	return open(t, s, a, func(o *Options) { o.ResourceID, o.Endpoints.Manager = s.ResourceID(), s.Manager() })
}

// manyChildren is an index that has n manifests with itself.
func manyChildren(n int) *content.Manifest {
	var all []*content.Manifest
	for i := range n - 1 {
		all = append(all, content.Image(fmt.Sprint("child ", i), []content.Blob{content.Layer("shared", 1000)}))
	}
	return content.Index(all)
}

// TestImport: what the registry reads itself is all there, under no tag, however it
// is told how far it is; nothing of it passes through us.
func TestImport(t *testing.T) {
	unset(t)
	source := registrytest.New(t, registrytest.Options{})
	ix := manyChildren(50)
	if err := source.Load("team/app", ix, "v1"); err != nil {
		t.Fatal(err)
	}
	for _, async := range []bool{false, true} {
		s := acrtest.New(t, acrtest.Options{Quirks: func(q *acrtest.Quirks) { q.ImportPolls, q.ImportAsync = 3, async }})
		r := importer(t, s, app(s, acrtest.AcrPush, acrtest.Importer))
		if c, err := r.Caps(t.Context()); err != nil || c.Import != 50 {
			t.Errorf("caps %+v (%v)", c, err)
		}
		err := r.Import(t.Context(), "dr/app", providers.ImportSource{Host: source.Host(), Repo: "team/app", Digest: ix.Digest})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Tags("dr/app")) > 0 || len(s.Manifests("dr/app")) != 50 {
			t.Errorf("%d manifests and %v", len(s.Manifests("dr/app")), s.Tags("dr/app"))
		}
	}
}

// TestManagers: each cloud's registries are imported into by that cloud's resource
// manager, which is shown a token of its own.
func TestManagers(t *testing.T) {
	unset(t)
	for host, want := range map[string]string{"acmedr.azurecr.io": "https://management.azure.com", "acmedr.westeurope.geo.azurecr.io": "https://management.azure.com",
		"registry.example.com": "https://management.azure.com", "acmedr.azurecr.cn": "https://management.chinacloudapi.cn", "acmedr.azurecr.us": "https://management.usgovcloudapi.net"} {
		r := trial.Open(t, New, Options{OCI: oci.Options{Host: host}})
		if r.manager() != want || r.managerScope() != want+"/.default" {
			t.Errorf("%s is asked for at %q, with a token for %q", host, r.manager(), r.managerScope())
		}
	}
}

// TestImportOfDockerHub: Azure is told of Docker Hub, and of Docker's own images there,
// by the names that it knows.
func TestImportOfDockerHub(t *testing.T) {
	d := content.Image("x", nil).Digest
	for _, tt := range []struct{ host, repo, registry, image string }{
		{"index.docker.io", "alpine", "docker.io", "library/alpine"},
		{"docker.io", "acme/app", "docker.io", "acme/app"},
		{"ghcr.io", "app", "ghcr.io", "app"},
	} {
		q := manager{repo: "to", from: providers.ImportSource{Host: tt.host, Repo: tt.repo, Digest: d}}.question()
		if q.Source.Registry != tt.registry || q.Source.Image != tt.image+"@"+d.String() {
			t.Errorf("%s/%s: asked for %+v", tt.host, tt.repo, q.Source)
		}
	}
}

// TestImportOfACR: another ACR is read by its resource id and our identity's rights.
func TestImportOfACR(t *testing.T) {
	unset(t)
	source := acrtest.New(t, acrtest.Options{})
	s := acrtest.New(t, acrtest.Options{Entra: source.Entra()})
	s.Knows(source)
	m := content.Image("x", []content.Blob{content.Layer("l", 1000)})
	trial.Load(t, source, "app", m, "v1")
	a := app(s, acrtest.AcrPush, acrtest.Importer)
	r := importer(t, s, a)
	from := providers.ImportSource{Host: source.Host(), Repo: "app", Digest: m.Digest, ResourceID: source.ResourceID()}
	if err := r.Import(t.Context(), "app", from); providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "source refuses") {
		t.Errorf("without a role at the source: %v; %s", err, providers.HintOf(err))
	}
	assign(source, a, acrtest.AcrPull)
	if err := r.Import(t.Context(), "app", from); err != nil || len(s.Manifests("app")) != 1 {
		t.Errorf("%v, %d manifests", err, len(s.Manifests("app")))
	}
}

// TestImportRefused: each refusal has its kind and says what to do; the source's
// password is in none.
func TestImportRefused(t *testing.T) {
	unset(t)
	const password = "the-source's-secret"
	source := registrytest.New(t, registrytest.Options{Quirks: registrytest.Quirks{Auth: registrytest.Auth{Mode: registrytest.Basic, Users: map[string]string{"sync": password}}}})
	m, many := content.Image("x", nil), manyChildren(51)
	for ref, m := range map[string]*content.Manifest{"v1": m, "many": many} {
		if err := source.Load("app", m, ref); err != nil {
			t.Fatal(err)
		}
	}
	s := acrtest.New(t, acrtest.Options{Quirks: func(q *acrtest.Quirks) { q.ImportPolls = 1 }})
	full, reader := app(s, acrtest.AcrPush, acrtest.Importer), app(s, acrtest.AcrPush)
	for name, tt := range map[string]struct {
		who    acrtest.App
		from   providers.ImportSource
		change func(*Options)
		kind   providers.Kind
		hint   string
	}{
		"taken":              {full, providers.ImportSource{Digest: m.Digest, Username: "sync", Password: password}, nil, 0, ""},
		"no credential":      {full, providers.ImportSource{Digest: m.Digest}, nil, providers.Denied, "source refuses"},
		"wrong password":     {full, providers.ImportSource{Digest: m.Digest, Username: "sync", Password: password + "!"}, nil, providers.Denied, "source refuses"},
		"51 manifests":       {full, providers.ImportSource{Digest: many.Digest, Username: "sync", Password: password}, nil, providers.Invalid, "via: import"},
		"no role":            {reader, providers.ImportSource{Digest: m.Digest}, nil, providers.Denied, "importImage/action"},
		"other resource":     {full, providers.ImportSource{Digest: m.Digest}, func(o *Options) { o.ResourceID += "x" }, providers.Invalid, "resourceID"},
		"no resource":        {full, providers.ImportSource{Digest: m.Digest}, func(o *Options) { o.ResourceID = "" }, providers.Unsupported, "resourceID"},
		"without TLS":        {full, providers.ImportSource{Digest: m.Digest}, func(o *Options) { o.Endpoints.Manager = "http://127.0.0.1:1" }, providers.Invalid, ""},
		"nobody there":       {full, providers.ImportSource{Digest: m.Digest}, func(o *Options) { o.Endpoints.Manager = "https://127.0.0.1:1" }, providers.Unavailable, "may reach"},
		"gone at the source": {full, providers.ImportSource{Digest: content.Image("never", nil).Digest, Username: "sync", Password: password}, nil, providers.NotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, s, tt.who, func(o *Options) {
				o.ResourceID, o.Endpoints.Manager = s.ResourceID(), s.Manager()
				if tt.change != nil {
					tt.change(o)
				}
			})
			tt.from.Host, tt.from.Repo = source.Host(), "app"
			err := r.Import(t.Context(), "to/"+strings.ReplaceAll(name, " ", "-"), tt.from)
			if tt.kind == 0 && err != nil || tt.kind != 0 && providers.KindOf(err) != tt.kind || !strings.Contains(providers.HintOf(err), tt.hint) {
				t.Errorf("%v; %s", err, providers.HintOf(err))
			}
			if err != nil && strings.Contains(fmt.Sprintf("%+v %v", err, errors.Unwrap(err)), password) {
				t.Errorf("the password is in %v", err)
			}
		})
	}
}
