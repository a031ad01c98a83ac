package gitlab

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/gitlab/gitlabtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// all are the scopes of a token that may do everything here.
var all = []string{"read_registry", "write_registry", "read_api"}

func password(user, text string) authn.Authenticator {
	return authn.FromConfig(authn.AuthConfig{Username: user, Password: text})
}

// open opens a provider for the emulator, whose retries are quick.
func open(t *testing.T, s *gitlabtest.Server, change ...func(*Options)) *Registry {
	t.Helper()
	return trial.Open(t, New, Options{API: s.GitLab(), OCI: trial.Options(s.Host())}, change...)
}

// as signs in by a token.
func as(user, text string) func(*Options) {
	return func(o *Options) { o.OCI.Authenticator = password(user, text) }
}

// serve starts a GitLab with a project that has one image.
func serve(t *testing.T, o gitlabtest.Options) *gitlabtest.Server {
	t.Helper()
	s := gitlabtest.New(t, o)
	s.Project("acme/app")
	if err := s.Load("acme/app/api", content.Image("x", []content.Blob{content.Layer("l", 1000)}), "v1"); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestConformance runs the suite that defines a provider against the emulator, with
// every quirk of GitLab on: with the registry's own API and without it, as a group
// whose projects are there.
func TestConformance(t *testing.T) {
	for name, bare := range map[string]bool{"as it is": false, "without metadata": true} {
		t.Run(name, func(t *testing.T) { conform(t, bare) })
	}
}

func conform(t *testing.T, bare bool) {
	var emulators trial.Emulators[*gitlabtest.Server]
	registrytest.Conformance(t, registrytest.Harness{
		NoIfMatch: true, NoReferrers: true, Folder: "acme",
		Serve: func(t *testing.T) *registrytest.Server {
			s := gitlabtest.New(t, gitlabtest.Options{Quirks: func(q *gitlabtest.Quirks) { q.NoMetadata = bare }})
			for _, p := range []string{"app", "lib", "team", "team-b", "other", "many", "not", "there", "one", "two"} {
				s.Project("acme/" + p)
			}
			return emulators.Add(s.Server, s)
		},
		Open: func(t *testing.T, s *registrytest.Server) providers.Registry {
			return registrytest.Below(open(t, emulators.Of(s), as("sync", emulators.Of(s).Token("sync", all...))), "acme")
		},
		WrongUser: func(t *testing.T, s *registrytest.Server) providers.Registry {
			return registrytest.Below(open(t, emulators.Of(s), as("sync", "glpat-revoked")), "acme")
		},
		Refusing: registrytest.Auth{Mode: registrytest.Bearer, Users: map[string]string{"sync": "glpat-good"}},
	})
}
