package ecr

import (
	"net/http"
	"strings"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/trial"
)

// clean takes AWS's variables out of the environment, and its files.
func clean(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE"} {
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
func open(t *testing.T, s *ecrtest.Server, change ...func(*Options)) *Registry {
	t.Helper()
	o := Options{
		OCI:      trial.Options(s.Host()),
		Identity: Identity{Region: s.Region()}, Endpoints: Endpoints{ECR: s.Endpoint(), STS: s.Endpoint()},
	}
	o.OCI.Quotas = trial.Unlimited(quotas)
	return trial.Open(t, New, o, change...)
}

// TestConformance runs the suite that defines a provider against the emulator,
// with every quirk of ECR on, through the real SDK.
func TestConformance(t *testing.T) {
	var emulators trial.Emulators[*ecrtest.Server]
	iam := ecrtest.NewIAM()
	key := iam.User("sync")
	start := func(mounting bool) func(t *testing.T) *registrytest.Server {
		return func(t *testing.T) *registrytest.Server {
			s := ecrtest.New(t, ecrtest.Options{IAM: iam, Quirks: func(q *ecrtest.Quirks) {
				q.EmptyPages, q.Rates = true, nil
			}})
			if mounting {
				s.EnableMounting()
			}
			return emulators.Add(s.Server, s)
		}
	}
	for name, mounting := range map[string]bool{"as it is": false, "with mounts": true} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			registrytest.Conformance(t, registrytest.Harness{
				NoIfMatch: true, NoMount: !mounting, HiddenBlobs: true, Serve: start(mounting),
				Open: func(t *testing.T, s *registrytest.Server) providers.Registry {
					signedIn(t, key)
					return open(t, emulators.Of(s))
				},
				WrongUser: func(t *testing.T, s *registrytest.Server) providers.Registry {
					signedIn(t, ecrtest.Key{ID: "AKIANOBODY", Secret: "x"})
					return open(t, emulators.Of(s))
				},
			})
		})
	}
}

// toEmulator takes the requests to AWS's own names to the emulator.
type toEmulator struct{ s *ecrtest.Server }

func (e toEmulator) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.Contains(req.URL.Host, ".dkr.ecr.") {
		req = req.Clone(req.Context())
		req.URL.Host = e.s.Host()
	}
	return http.DefaultTransport.RoundTrip(req)
}
