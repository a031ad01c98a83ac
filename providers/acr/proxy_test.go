package acr

import (
	"net/http"
	"testing"

	"github.com/transship/transship/providers/oci"
)

// An instance's identity is asked for past the proxy, which would see the token or
// answer with an identity of its own (I7); Entra is asked through it.
func TestIdentityPastTheProxy(t *testing.T) {
	r, err := New(Options{OCI: oci.Options{Host: "acmedr.azurecr.io", Proxy: "http://proxy.example:3128"}})
	if err != nil {
		t.Fatal(err)
	}
	base, err := r.reach().base()
	if err != nil {
		t.Fatal(err)
	}
	for at, proxied := range map[string]bool{
		"http://" + metadataHost + "/metadata/identity/oauth2/token": false,
		"http://127.0.0.1:41741/msi/token":                           false,
		"http://localhost:40342/metadata/identity/oauth2/token":      false,
		"https://login.microsoftonline.com/tenant/oauth2/v2.0/token": true,
	} {
		req, err := http.NewRequest(http.MethodGet, at, nil)
		if err != nil {
			t.Fatal(err)
		}
		through, err := base.(*http.Transport).Proxy(req)
		if err != nil || (through != nil) != proxied {
			t.Errorf("%s goes through %v (%v), want a proxy: %v", at, through, err, proxied)
		}
	}
}
