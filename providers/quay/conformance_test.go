package quay

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/quay/quaytest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// open opens a provider for the emulator, whose retries are quick, as somebody
// unless user is "".
func open(t *testing.T, s *quaytest.Server, user, password string, change ...func(*Options)) *Registry {
	t.Helper()
	o := Options{OCI: trial.Options(s.Host())}
	if user != "" {
		o.OCI.Authenticator = authn.FromConfig(authn.AuthConfig{Username: user, Password: password})
	}
	return trial.Open(t, New, o, change...)
}

// robot opens it as a robot with these permissions.
func robot(t *testing.T, s *quaytest.Server, grants ...quaytest.Grant) *Registry {
	t.Helper()
	return open(t, s, "acme+sync", s.Account("acme+sync", grants...))
}

// withToken asks the API as the account, with a token.
func withToken(s *quaytest.Server, of string) func(*Options) {
	token := s.Token(of)
	return func(o *Options) { o.APIToken = func() (string, error) { return token, nil } }
}

// source is a registry that nothing is written to.
func source(o *Options) { o.OCI.Push = false }

// serve starts a Quay with one image.
func serve(t *testing.T) (*quaytest.Server, *content.Manifest) {
	t.Helper()
	s := quaytest.New(t, quaytest.Options{})
	m := content.Image("x", []content.Blob{content.Layer("l", 1000)})
	trial.Load(t, s, "acme/app", m, "v1")
	return s, m
}

// TestConformance runs the suite that defines a provider against the emulator, with
// every quirk of Quay on: with a token for the API, and without.
func TestConformance(t *testing.T) {
	for name, token := range map[string]bool{"with a token": true, "by the registry alone": false} {
		t.Run(name, func(t *testing.T) { conform(t, token) })
	}
}

func conform(t *testing.T, token bool) {
	var emulators trial.Emulators[*quaytest.Server]
	registrytest.Conformance(t, registrytest.Harness{
		NoIfMatch: true, TakesSparse: true, Folder: "acme",
		Serve: func(t *testing.T) *registrytest.Server {
			s := quaytest.New(t, quaytest.Options{})
			return emulators.Add(s.Server, s)
		},
		Open: func(t *testing.T, front *registrytest.Server) providers.Registry {
			s := emulators.Of(front)
			password := s.Account("acme+sync", quaytest.Admin("acme"))
			var change []func(*Options)
			if token {
				change = append(change, withToken(s, "acme+sync"))
			}
			return registrytest.Below(open(t, s, "acme+sync", password, change...), "acme")
		},
		WrongUser: func(t *testing.T, front *registrytest.Server) providers.Registry {
			return open(t, emulators.Of(front), "acme+sync", "wrong")
		},
	})
}
