package harbor

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/harbor/harbortest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

const name = "robot$acme+sync"

// open opens a provider for the emulator, whose retries are quick, as somebody
// unless user is "".
func open(t *testing.T, s *harbortest.Server, user, secret string, change ...func(*Options)) *Registry {
	t.Helper()
	o := Options{OCI: trial.Options(s.Host())}
	if user != "" {
		o.OCI.Authenticator = authn.FromConfig(authn.AuthConfig{Username: user, Password: secret})
	}
	return trial.Open(t, New, o, change...)
}

// robot opens it as a robot with these permissions.
func robot(t *testing.T, s *harbortest.Server, grants ...harbortest.Grant) *Registry {
	t.Helper()
	return open(t, s, name, s.Robot(name, grants...))
}

// source is a registry that nothing is written to; makes is one that makes projects.
func source(o *Options) { o.OCI.Push = false }

func makes(o *Options) { o.Create.Projects = true }

// serve starts a Harbor with one project and one image.
func serve(t *testing.T) (*harbortest.Server, *content.Manifest) {
	t.Helper()
	s := harbortest.New(t, harbortest.Options{})
	s.Project("acme", harbortest.Project{})
	m := content.Image("x", []content.Blob{content.Layer("l", 1000)})
	load(t, s, "acme/team/app", m, "v1")
	return s, m
}

func load(t *testing.T, s *harbortest.Server, repo string, m *content.Manifest, tags ...string) {
	t.Helper()
	if err := s.Load(repo, m, tags...); err != nil {
		t.Fatal(err)
	}
	s.Attach(repo)
}

// TestConformance runs the suite that defines a provider against the emulator, with
// every quirk of Harbor on: as a robot that may use the API, and as one that may not.
func TestConformance(t *testing.T) {
	for how, may := range map[string][]string{"with the API": harbortest.Writer, "by the registry alone": {harbortest.Pull, harbortest.Push, harbortest.ListRepos}} {
		t.Run(how, func(t *testing.T) { conform(t, may) })
	}
}

func conform(t *testing.T, may []string) {
	var emulators trial.Emulators[*harbortest.Server]
	registrytest.Conformance(t, registrytest.Harness{
		NoIfMatch: true, Folder: "acme",
		Serve: func(t *testing.T) *registrytest.Server {
			s := harbortest.New(t, harbortest.Options{})
			s.Project("acme", harbortest.Project{})
			return emulators.Add(s.Server, s)
		},
		Open: func(t *testing.T, front *registrytest.Server) providers.Registry {
			return registrytest.Below(robot(t, emulators.Of(front), harbortest.On("acme", may...)), "acme")
		},
		WrongUser: func(t *testing.T, front *registrytest.Server) providers.Registry {
			return open(t, emulators.Of(front), name, "wrong")
		},
	})
}
