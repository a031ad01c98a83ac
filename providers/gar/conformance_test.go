package gar

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// clean takes Google's variables out of the environment, and its files.
func clean(t *testing.T) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "")
	t.Setenv("GCE_METADATA_HOST", "127.0.0.1:1")
}

func write(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// signedIn puts an account's key into the environment, and returns it.
func signedIn(t *testing.T, s *gartest.Server, email string) (file []byte) {
	t.Helper()
	clean(t)
	file = s.KeyFile(email)
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", write(t, "key.json", file))
	return file
}

// quick are options for the emulator, with retries that are quick.
func quick(s *gartest.Server) Options {
	return Options{
		OCI:       trial.Options(s.Host()),
		Endpoints: Endpoints{API: s.Endpoint(), IAM: s.Endpoint(), Token: s.TokenURI(), Location: s.Location()},
	}
}

// open opens a provider for the emulator.
func open(t *testing.T, s *gartest.Server, change ...func(*Options)) *Registry {
	t.Helper()
	return trial.Open(t, New, quick(s), change...)
}

// serve starts an Artifact Registry with one image.
func serve(t *testing.T, o gartest.Options) *gartest.Server {
	t.Helper()
	s := gartest.New(t, o)
	if err := s.Load("acme/mirror/team/app", content.Image("x", []content.Blob{content.Layer("l", 1000)}), "v1"); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestConformance runs the suite that defines a provider against the emulator,
// with every quirk of Artifact Registry on, through Google's own library.
func TestConformance(t *testing.T) {
	var emulators trial.Emulators[*gartest.Server]
	as := func(t *testing.T, s *registrytest.Server, file []byte) providers.Registry {
		key := write(t, "key.json", file)
		return registrytest.Below(open(t, emulators.Of(s), func(o *Options) { o.Identity.CredentialsFile = key }), "acme/mirror")
	}
	clean(t)
	registrytest.Conformance(t, registrytest.Harness{
		NoIfMatch: true, Folder: "acme/mirror",
		Serve: func(t *testing.T) *registrytest.Server {
			s := gartest.New(t, gartest.Options{})
			s.Repository("acme/mirror", gartest.Settings{})
			return emulators.Add(s.Server, s)
		},
		Open: func(t *testing.T, s *registrytest.Server) providers.Registry {
			return as(t, s, emulators.Of(s).KeyFile(emulators.Of(s).IAM().Account("sync")))
		},
		WrongUser: func(t *testing.T, s *registrytest.Server) providers.Registry {
			file := emulators.Of(s).KeyFile(emulators.Of(s).IAM().Account("gone"))
			emulators.Of(s).RevokeKey(file)
			return as(t, s, file)
		},
	})
}

// toEmulator takes the requests to the registry's own names to the emulator.
type toEmulator struct{ s *gartest.Server }

func (e toEmulator) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Host, "pkg.dev") || strings.HasSuffix(req.URL.Host, "gcr.io") {
		req = req.Clone(req.Context())
		req.URL.Host = e.s.Host()
	}
	return http.DefaultTransport.RoundTrip(req)
}
