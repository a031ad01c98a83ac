package acr

import (
	"strings"
	"testing"

	"github.com/transship/transship/providers/oci"
)

func TestParseHost(t *testing.T) {
	for name, want := range map[string]Host{
		"acmedr.azurecr.io":                {"acmedr", "", "io"},
		"acmedr.azurecr.io:443":            {"acmedr", "", "io"},
		"acmedr-h4sh.azurecr.cn":           {"acmedr-h4sh", "", "cn"},
		"acmedr.azurecr.us":                {"acmedr", "", "us"},
		"acmedr.westeurope.geo.azurecr.io": {"acmedr", "westeurope", "io"},
		"acmedr-h4.westus2.geo.azurecr.io": {"acmedr-h4", "westus2", "io"},
	} {
		if got, ok, err := ParseHost(name); got != want || !ok || err != nil {
			t.Errorf("%s: %+v, %v, %v", name, got, ok, err)
		}
	}
	for _, other := range []string{"localhost:5000", "127.0.0.1:80", "registry.example.com", "mcr.microsoft.com", ""} {
		if _, ok, err := ParseHost(other); ok || err != nil {
			t.Errorf("%s: %v, %v, want another's", other, ok, err)
		}
	}
	for host, says := range map[string]string{
		"acm.azurecr.io":                    "5 to 50",
		"Acmedr.azurecr.io":                 "5 to 50",
		"azurecr.io":                        "looks like",
		"acmedr.azurecr.com":                "looks like",
		"acmedr.azurecr.io.evil.org":        "looks like",
		"acmedr.westeurope.azurecr.io":      "looks like",
		"acmedr.west-europe.geo.azurecr.io": "no region",
		"acmedr.westeurope.data.azurecr.io": "the registry is acmedr.azurecr.io",
	} {
		if _, ok, err := ParseHost(host); err == nil || ok || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v, want %q", host, ok, err, says)
		}
	}
}

func FuzzParseHost(f *testing.F) {
	f.Add("acmedr.azurecr.io")
	f.Add("acmedr.westeurope.geo.azurecr.io:443")
	f.Fuzz(func(t *testing.T, s string) {
		h, ok, err := ParseHost(s)
		if ok && (err != nil || h.Registry == "" || h.Cloud == "") {
			t.Errorf("%q is %+v (%v)", s, h, err)
		}
	})
}

// TestService: the token service knows the registry without a port.
func TestService(t *testing.T) {
	for host, want := range map[string]string{"acmedr.azurecr.io": "acmedr.azurecr.io", "acmedr.azurecr.io:443": "acmedr.azurecr.io", "127.0.0.1:5000": "127.0.0.1:5000"} {
		r, err := New(Options{OCI: oci.Options{Host: host}})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.service(); got != want {
			t.Errorf("%s is %s", host, got)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
