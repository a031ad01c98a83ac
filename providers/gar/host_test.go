package gar

import (
	"strings"
	"testing"

	"github.com/transship/transship/providers"
)

func TestParseHost(t *testing.T) {
	for name, want := range map[string]Host{
		"europe-west1-docker.pkg.dev":            {Location: "europe-west1"},
		"us-docker.pkg.dev":                      {Location: "us"},
		"northamerica-northeast1-docker.pkg.dev": {Location: "northamerica-northeast1"},
		"asia-docker.pkg.dev:443":                {Location: "asia"},
		"gcr.io":                                 {Location: "us", GCR: "gcr.io"},
		"us.gcr.io":                              {Location: "us", GCR: "us.gcr.io"},
		"eu.gcr.io":                              {Location: "europe", GCR: "eu.gcr.io"},
		"asia.gcr.io":                            {Location: "asia", GCR: "asia.gcr.io"},
	} {
		if got, ok, err := ParseHost(name); err != nil || !ok || got != want {
			t.Errorf("%s: %+v, %v, %v", name, got, ok, err)
		}
	}
	for name, says := range map[string]string{
		"us-maven.pkg.dev": "no host of container images", "pkg.dev": "no host of container images",
		"EU-docker.pkg.dev": "no location", "-docker.pkg.dev": "no location", "fr.gcr.io": "none of gcr.io",
	} {
		if _, _, err := ParseHost(name); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", name, err, says)
		}
	}
	if _, ok, err := ParseHost("registry.example.com"); ok || err != nil {
		t.Errorf("another host: %v, %v", ok, err)
	}
	o := Options{}
	o.OCI.Host = "registry.example.com"
	if _, err := New(o); providers.KindOf(err) != providers.Invalid || providers.HintOf(err) == "" {
		t.Errorf("a host without a location: %v", err)
	}
}

func TestPlace(t *testing.T) {
	plain, gcr := Host{Location: "us"}, Host{Location: "us", GCR: "gcr.io"}
	for _, tt := range []struct {
		host Host
		path string
		want place
	}{
		{plain, "acme/mirror/team/app", place{"acme", "mirror", "team/app"}},
		{plain, "example.com/acme/mirror/app", place{"example.com:acme", "mirror", "app"}},
		{gcr, "acme/team/app", place{"acme", "gcr.io", "team/app"}},
		{gcr, "example.com/acme/app", place{"example.com:acme", "gcr.io", "app"}},
	} {
		if got := tt.host.place(tt.path); got != tt.want || tt.host.path(got) != tt.path {
			t.Errorf("%s is %+v and back %s", tt.path, got, tt.host.path(got))
		}
	}
	if got := plain.pkg(place{"acme", "mirror", "team/app"}); got != "projects/acme/locations/us/repositories/mirror/packages/team%2Fapp" {
		t.Errorf("package %s", got)
	}
}

func TestNames(t *testing.T) {
	for repo, ok := range map[string]bool{"acme/mirror/app": true, "acme/mirror/team/app": true, "example.com/acme/mirror/app": true,
		"acme/gcr.io/app": true, "acme/fr.gcr.io/app": false,
		"acme/mirror": false, "acme/Mirror/app": false, "acme/mir_ror/app": false, "acme/mirror/App": false, "acme/mirror-/app": false} {
		if err := caps(Host{Location: "us"}).Names.Check(repo); (err == nil) != ok {
			t.Errorf("%s: %v", repo, err)
		}
	}
	if err := caps(Host{GCR: "gcr.io"}).Names.Check("acme/app"); err != nil {
		t.Error(err)
	}
}
