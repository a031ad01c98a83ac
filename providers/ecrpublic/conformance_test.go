package ecrpublic

import (
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/ecrpublic/ecrpublictest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// clean takes AWS's variables out of the environment, and its files.
func clean(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE"} {
		t.Setenv(name, "")
	}
	none := t.TempDir() + "/none"
	t.Setenv("AWS_CONFIG_FILE", none)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

// signedIn puts a key into the environment.
func signedIn(t *testing.T, k ecrtest.Key) {
	t.Helper()
	clean(t)
	t.Setenv("AWS_ACCESS_KEY_ID", k.ID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", k.Secret)
	t.Setenv("AWS_SESSION_TOKEN", k.Token)
}

// open opens a provider for the emulator, whose retries are quick.
func open(t *testing.T, s *ecrpublictest.Server, change ...func(*Options)) *Registry {
	t.Helper()
	o := Options{Endpoints: Endpoints{API: s.Endpoint(), STS: s.Endpoint()}, OCI: trial.Options(s.Host())}
	o.OCI.Quotas = trial.Unlimited(quotas)
	return trial.Open(t, New, o, change...)
}

// reader opens it for reading alone.
func reader(o *Options) { o.OCI.Push = false }

// serve starts an ECR Public with one image of ours and one of others.
func serve(t *testing.T, o ecrpublictest.Options) *ecrpublictest.Server {
	t.Helper()
	s := ecrpublictest.New(t, o)
	for _, repo := range []string{"acme/team/app", "docker/library/alpine"} {
		if err := s.Load(repo, content.Image("x", []content.Blob{content.Layer("l", 1000)}), "v1"); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestConformance runs the suite that defines a provider against the emulator, with
// every quirk of ECR Public on, through the real SDK.
func TestConformance(t *testing.T) {
	for name, mounts := range map[string]bool{"as it is": false, "with mounts": true} {
		t.Run(name, func(t *testing.T) { conform(t, mounts) })
	}
}

func conform(t *testing.T, mounts bool) {
	var emulators trial.Emulators[*ecrpublictest.Server]
	iam := ecrtest.NewIAM()
	key := iam.User("sync")
	registrytest.Conformance(t, registrytest.Harness{
		NoIfMatch: true, HiddenBlobs: true, NoMount: !mounts, Folder: "acme",
		Serve: func(t *testing.T) *registrytest.Server {
			s := ecrpublictest.New(t, ecrpublictest.Options{IAM: iam, Quirks: func(q *ecrpublictest.Quirks) { q.Mounts = mounts }})
			return emulators.Add(s.Server, s)
		},
		Open: func(t *testing.T, s *registrytest.Server) providers.Registry {
			signedIn(t, key)
			return registrytest.Below(open(t, emulators.Of(s)), "acme")
		},
		WrongUser: func(t *testing.T, s *registrytest.Server) providers.Registry {
			signedIn(t, ecrtest.Key{ID: "AKIANOBODY", Secret: "x"})
			return registrytest.Below(open(t, emulators.Of(s)), "acme")
		},
	})
}
