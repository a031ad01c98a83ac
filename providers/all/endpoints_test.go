package all

import (
	"strings"
	"testing"

	"github.com/transship/transship/providers"
)

// Credentials go to the addresses that the environment names: in clear to this
// machine only (I7).
func TestEndpointsInClear(t *testing.T) {
	for _, tt := range []struct{ provider, variable, value string }{
		{"ecr", "AWS_ENDPOINT_URL", "http://proxy.example:4566"},
		{"ecr", "AWS_ENDPOINT_URL_ECR", "http://10.0.0.1"},
		{"ecrpublic", "AWS_ENDPOINT_URL_ECR_PUBLIC", "http://10.0.0.1"},
		{"ecr", "AWS_ENDPOINT_URL_STS", "HTTP://127.0.0.1.example.com/"},
		{"gar", "CLOUDSDK_API_ENDPOINT_OVERRIDES_ARTIFACTREGISTRY", "http://user:secret@localhost.example:80/"},
		{"gar", "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", "http://[::ffff:10.0.0.1]/"},
		{"gar", "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", "iamcredentials.example"},
		{"acr", "AZURE_AUTHORITY_HOST", "http://login.example/"},
		{"acr", "AZURE_AUTHORITY_HOST", "ftp://127.0.0.1/"},
	} {
		t.Run(tt.variable+"="+tt.value, func(t *testing.T) {
			t.Setenv(tt.variable, tt.value)
			r, err := Open(tt.provider, Options{Host: samples[tt.provider]})
			if err == nil {
				r.Close()
				t.Fatal("opened")
			}
			if providers.KindOf(err) != providers.Invalid || !strings.Contains(err.Error(), tt.variable) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v", err)
			}
			if caps := Documented(tt.provider); len(caps.Quotas) == 0 {
				t.Errorf("what is documented of %s is gone with it", tt.provider)
			}
		})
	}
}

func TestEndpointsAllowed(t *testing.T) {
	for _, tt := range []struct{ provider, variable, value string }{
		{"ecr", "AWS_ENDPOINT_URL_ECR", "https://vpce-1.api.ecr.eu-west-1.vpce.amazonaws.com"},
		{"ecr", "AWS_ENDPOINT_URL_STS", "http://127.0.0.1:4566"},
		{"ecr", "AZURE_AUTHORITY_HOST", "http://login.example/"}, // another cloud's
		{"gar", "CLOUDSDK_API_ENDPOINT_OVERRIDES_ARTIFACTREGISTRY", "http://localhost:8080/"},
		{"gar", "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", "http://[::1]:8080/"},
		{"acr", "AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/"},
	} {
		t.Run(tt.variable+"="+tt.value, func(t *testing.T) {
			t.Setenv(tt.variable, tt.value)
			r, err := Open(tt.provider, Options{Host: samples[tt.provider]})
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
		})
	}
	t.Run("AWS's are to be left alone", func(t *testing.T) {
		t.Setenv("AWS_ENDPOINT_URL", "http://proxy.example:4566")
		t.Setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
		r, err := Open("ecr", Options{Host: samples["ecr"]})
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
	})
}
