package acr

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// unset takes Azure's variables out of the environment, and the CLIs of the path.
func unset(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME",
		"AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST", "AZURE_TOKEN_CREDENTIALS", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET", "IMDS_ENDPOINT"} {
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
	t.Setenv("PATH", t.TempDir())
}

// open opens a provider for the emulator, whose retries are quick, as an app's
// service principal unless change says otherwise.
func open(t *testing.T, s *acrtest.Server, app acrtest.App, change ...func(*Options)) *Registry {
	t.Helper()
	o := Options{
		OCI:       trial.Options(s.Host()),
		Identity:  principal(app),
		Endpoints: Endpoints{Authority: s.Entra().URL()},
	}
	o.OCI.TLS = oci.TLS{CAPEM: s.Entra().CA()}
	o.OCI.Quotas = trial.Unlimited(quotas)
	return trial.Open(t, New, o, change...)
}

func principal(app acrtest.App) Identity {
	return Identity{Credential: servicePrincipal, TenantID: app.Tenant, ClientID: app.ClientID,
		ClientSecret: func() (string, error) { return app.Secret, nil }}
}

// app makes an app that has these roles, AcrPush if there are none.
func app(s *acrtest.Server, roles ...acrtest.Role) acrtest.App {
	a := s.Entra().App("sync")
	assign(s, a, roles...)
	return a
}

func assign(s *acrtest.Server, a acrtest.App, roles ...acrtest.Role) {
	if len(roles) == 0 {
		roles = []acrtest.Role{acrtest.AcrPush}
	}
	for _, role := range roles {
		s.Assign(a.ClientID, role)
	}
}

// serve starts a registry with one image.
func serve(t *testing.T, o acrtest.Options) *acrtest.Server {
	t.Helper()
	unset(t)
	s := acrtest.New(t, o)
	trial.Load(t, s, "team/app", content.Image("x", []content.Blob{content.Layer("l", 1000)}), "v1")
	return s
}

// TestConformance runs the suite that defines a provider against the emulator,
// with every quirk of ACR on, through the real SDK.
func TestConformance(t *testing.T) {
	unset(t)
	var emulators trial.Emulators[*acrtest.Server]
	entra := acrtest.StartEntra()
	t.Cleanup(entra.Close)
	sync := entra.App("sync")
	wrong := sync
	wrong.Secret = "wrong"
	registrytest.Conformance(t, registrytest.Harness{
		NoIfMatch: true,
		Serve: func(t *testing.T) *registrytest.Server {
			s := acrtest.New(t, acrtest.Options{Entra: entra, Quirks: func(q *acrtest.Quirks) { q.DirtyTokens = true }})
			assign(s, sync)
			return emulators.Add(s.Server, s)
		},
		Open: func(t *testing.T, s *registrytest.Server) providers.Registry { return open(t, emulators.Of(s), sync) },
		WrongUser: func(t *testing.T, s *registrytest.Server) providers.Registry {
			return open(t, emulators.Of(s), wrong)
		},
	})
}

// atMetadata takes what is asked of the instance's metadata to the emulator.
type atMetadata struct {
	http.RoundTripper
	entra *acrtest.Entra
}

func (m atMetadata) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == metadataHost {
		return inProcess(m.entra, req), nil
	}
	return m.RoundTripper.RoundTrip(req)
}

func toEntra(t *testing.T, e *acrtest.Entra) http.RoundTripper {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(e.CA())
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(tr.CloseIdleConnections)
	return atMetadata{tr, e}
}
