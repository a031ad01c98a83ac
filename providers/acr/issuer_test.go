package acr

import (
	"slices"
	"strings"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest/idp"
)

// TestManagedIdentityIssues: an instance's managed identity gets a token for an
// application that stands for another cloud, which that cloud can verify.
func TestManagedIdentityIssues(t *testing.T) {
	s := serve(t, acrtest.Options{})
	unset(t)
	entra := s.Entra()
	vm := entra.App("vm", func(a *acrtest.App) { a.Managed = true })
	entra.SetLife(uncached)
	var told []oci.Request
	o := Options{Identity: Identity{Credential: managedIdentity}, Endpoints: Endpoints{Authority: entra.URL()}}
	o.OCI.Base, o.OCI.Observe, o.OCI.Retry.Tries = toEntra(t, entra), func(r oci.Request) { told = append(told, r) }, 1
	i := NewIssuer(o)
	if _, err := i.Assertion(t.Context(), "api://transship"); providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "api://transship") {
		t.Errorf("for an application that is not there: %v", err)
	}
	entra.Resource("api://transship")
	a, err := i.Assertion(t.Context(), "api://transship")
	if err != nil {
		t.Fatal(err)
	}
	var known idp.Issuers
	known.Know(entra.Issuer(acrtest.Tenant))
	c, err := known.Verify(string(a.Token))
	if err != nil || c.Subject != vm.ClientID || !c.Audience.In("api://transship") || a.Subject != c.Subject || !slices.Equal(a.Audience, c.Audience) {
		t.Errorf("%+v, %v", c, err)
	}
	who, err := i.Whoami(t.Context())
	if err != nil || !strings.Contains(who.Name, "client "+vm.ClientID) || who.From != "the managed identity of this machine" || who.Expires.IsZero() {
		t.Errorf("we are %v, %v", who, err)
	}
	if len(told) < 3 || slices.ContainsFunc(told, func(r oci.Request) bool { return r.Op != providers.OpToken }) {
		t.Errorf("observers were told of %v", told)
	}
}
