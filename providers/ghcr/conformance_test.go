package ghcr

import (
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ghcr/ghcrtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// open opens a provider for the emulator, whose retries are quick, with a token; a
// zero one is nobody.
func open(t *testing.T, s *ghcrtest.Server, as ghcrtest.Token, change ...func(*Options)) *Registry {
	t.Helper()
	o := Options{API: s.API(), OCI: trial.Options(s.Host())}
	if as.Text != "" {
		o.OCI.Authenticator = authn.FromConfig(authn.AuthConfig{Username: as.User, Password: as.Text})
	}
	o.OCI.Quotas = map[string]providers.Rate{"API requests": {N: 1e6, Per: time.Second}}
	return trial.Open(t, New, o, change...)
}

// pusher is a token that may do everything.
func pusher(s *ghcrtest.Server) ghcrtest.Token { return s.Classic("sync", "write:packages") }

// serve starts an emulator with one image.
func serve(t *testing.T, change ...func(*ghcrtest.Options)) *ghcrtest.Server {
	t.Helper()
	var o ghcrtest.Options
	for _, c := range change {
		c(&o)
	}
	s := ghcrtest.New(t, o)
	s.Organization("acme")
	trial.Load(t, s, "acme/app", image("x"), "v1")
	return s
}

func image(name string) *content.Manifest {
	return content.Image(name, []content.Blob{content.Layer(name, 1000)})
}

// TestConformance runs the suite that defines a provider against the emulator with
// every quirk of ghcr.io on: with the packages API, and without.
func TestConformance(t *testing.T) {
	t.Run("with the API", func(t *testing.T) { conformance(t, true) })
	t.Run("without", func(t *testing.T) { conformance(t, false) })
}

func conformance(t *testing.T, api bool) {
	var emulators trial.Emulators[*ghcrtest.Server]
	registrytest.Conformance(t, registrytest.Harness{
		NoIfMatch: true, NoReferrers: true, Folder: "acme", NoCatalog: !api,
		Serve: func(t *testing.T) *registrytest.Server {
			s := ghcrtest.New(t, ghcrtest.Options{})
			s.Organization("acme")
			return emulators.Add(s.Server, s)
		},
		Open: func(t *testing.T, s *registrytest.Server) providers.Registry {
			return registrytest.Below(open(t, emulators.Of(s), pusher(emulators.Of(s)), func(o *Options) {
				if !api {
					o.API = ""
				}
			}), "acme")
		},
		WrongUser: func(t *testing.T, s *registrytest.Server) providers.Registry {
			return open(t, emulators.Of(s), ghcrtest.Token{User: "sync", Text: "ghp_wrong"})
		},
		Refusing: registrytest.Auth{Mode: registrytest.Bearer, Users: map[string]string{"sync": "ghp_right"}},
	})
}
