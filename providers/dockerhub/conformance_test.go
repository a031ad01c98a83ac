package dockerhub

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/dockerhub/dockerhubtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// open opens a provider for the emulator, whose retries are quick, as an account;
// "" is nobody.
func open(t *testing.T, s *dockerhubtest.Server, user, password string, change ...func(*Options)) *Registry {
	t.Helper()
	o := Options{API: s.API(), OCI: trial.Options(s.Host())}
	if user != "" {
		o.OCI.Authenticator = authn.FromConfig(authn.AuthConfig{Username: user, Password: password})
	}
	return trial.Open(t, New, o, change...)
}

// sync opens a provider for an account that may push to acme.
func asSync(t *testing.T, s *dockerhubtest.Server, change ...func(*Options)) *Registry {
	t.Helper()
	return open(t, s, "sync", s.Account("sync", "acme", true), change...)
}

// serve starts an emulator with one image.
func serve(t *testing.T, change ...func(*dockerhubtest.Options)) *dockerhubtest.Server {
	t.Helper()
	var o dockerhubtest.Options
	for _, c := range change {
		c(&o)
	}
	s := dockerhubtest.New(t, o)
	trial.Load(t, s, "acme/app", anImage("x"), "v1")
	return s
}

func anImage(name string) *content.Manifest {
	return content.Image(name, []content.Blob{content.Layer(name, 1000)})
}

// TestConformance runs the suite that defines a provider against the emulator with
// every quirk of Docker Hub on.
func TestConformance(t *testing.T) {
	var emulators trial.Emulators[*dockerhubtest.Server]
	registrytest.Conformance(t, registrytest.Harness{
		NoIfMatch: true, Folder: "acme", Flat: true,
		Serve: func(t *testing.T) *registrytest.Server {
			s := dockerhubtest.New(t, dockerhubtest.Options{Quirks: func(q *dockerhubtest.Quirks) { q.Pulls = 1000 }})
			return emulators.Add(s.Server, s)
		},
		Open: func(t *testing.T, s *registrytest.Server) providers.Registry {
			return registrytest.Flat(asSync(t, emulators.Of(s)), "acme")
		},
		WrongUser: func(t *testing.T, s *registrytest.Server) providers.Registry {
			return open(t, emulators.Of(s), "sync", "wrong")
		},
		Refusing: registrytest.Auth{Mode: registrytest.Bearer, Users: map[string]string{"sync": "right"}},
	})
}
