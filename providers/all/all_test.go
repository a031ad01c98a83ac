package all

import (
	"maps"
	"slices"
	"testing"

	"github.com/transship/transship/providers"
)

func TestOpen(t *testing.T) {
	alone(t)
	hosts := map[string]string{"oci": "registry.example.com", "layout": "", "gitlab": "registry.gitlab.com", "ghcr": "ghcr.io", "dockerhub": "index.docker.io", "quay": "quay.io", "harbor": "harbor.example.com", "ecrpublic": "public.ecr.aws",
		"ecr": "123456789012.dkr.ecr.eu-west-1.amazonaws.com", "gar": "europe-west1-docker.pkg.dev", "acr": "acmedr.azurecr.io"}
	if want := slices.Sorted(maps.Keys(hosts)); !slices.Equal(Names(), want) {
		t.Errorf("providers %v, want %v", Names(), want)
	}
	for name, host := range hosts {
		r, err := Open(name, Options{Host: host, Path: t.TempDir(),
			Capabilities: map[string]providers.Tri{providers.CapMount: providers.Yes}})
		if err != nil {
			t.Fatal(err)
		}
		if caps, err := r.Caps(t.Context()); err != nil || caps.Mount != providers.Yes {
			t.Errorf("%s: %+v, %v", name, caps, err)
		}
		if caps, err := r.Caps(t.Context()); err != nil || caps.PushTimes != PushTimes(name) {
			t.Errorf("%s: push times %v, and before it was opened %v; %v", name, caps.PushTimes, PushTimes(name), err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("close %s: %v", name, err)
		}
	}
	if _, err := Open("ecrr", Options{}); providers.KindOf(err) != providers.Invalid || providers.HintOf(err) == "" {
		t.Errorf("unknown provider: %v", err)
	}
	for name, o := range map[string]Options{"oci": {Host: "https://example.com/v2"}, "layout": {}} {
		if r, err := Open(name, o); err == nil || r != nil {
			t.Errorf("%s opened %+v: %v", name, o, r)
		}
	}
}

// What is documented of a provider asks nobody, and everyone has words for what to grant.
func TestDocumented(t *testing.T) {
	if caps := Documented("layout"); caps.Mount != providers.Yes {
		t.Errorf("layout: %+v", caps)
	}
	if caps := Documented("ecr"); len(caps.Quotas) == 0 || caps.Names.IsZero() {
		t.Errorf("ecr: %+v", caps)
	}
	if caps := Documented("nothing"); caps.Catalog != providers.Maybe {
		t.Errorf("nothing: %+v", caps)
	}
	for _, name := range Names() {
		r, err := Open(name, Options{Host: samples[name], Path: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if reads, writes := Permissions(r, false), Permissions(r, true); reads == "" || writes == "" || reads == writes {
			t.Errorf("%s: to read %q, to write %q", name, reads, writes)
		}
		r.Close()
	}
}

// alone has AWS's chain find nobody, without asking around.
func alone(t *testing.T) {
	none := t.TempDir() + "/none"
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_PROFILE": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(name, value)
	}
}
