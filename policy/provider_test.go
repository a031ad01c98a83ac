package policy

import "testing"

// All forms of the clouds' hosts, and those of others that look like one.
func TestInferProvider(t *testing.T) {
	for host, want := range map[string]string{
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com":                "ecr",
		"https://123456789012.dkr.ecr.eu-west-1.amazonaws.com":        "ecr",
		"123456789012.DKR.ECR.eu-west-1.amazonaws.com:443":            "ecr",
		"123456789012.dkr.ecr-fips.us-east-1.amazonaws.com":           "ecr",
		"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com":       "ecr",
		"123456789012.dkr.ecr.us-gov-east-1.amazonaws.com":            "ecr",
		"123456789012.dkr.ecr.cn-northwest-1.amazonaws.com.cn":        "ecr",
		"123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu":            "ecr",
		"123456789012.dkr-ecr.eu-west-1.on.aws":                       "ecr",
		"123456789012.dkr-ecr-fips.us-gov-west-1.on.aws":              "ecr",
		"123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn": "ecr",
		"123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov":               "ecr",
		"123456789012.dkr.ecr.ap-southeast-5.amazonaws.com":           "ecr",
		"public.ecr.aws": "ecrpublic",
		"123456789012.ecr.eu-west-1.amazonaws.com": "oci",
		"europe-west1-docker.pkg.dev":              "gar",
		"northamerica-northeast1-docker.pkg.dev":   "gar",
		"us-docker.pkg.dev":                        "gar",
		"europe-docker.pkg.dev":                    "gar",
		"gcr.io":                                   "gar",
		"us.gcr.io":                                "gar",
		"eu.gcr.io":                                "gar",
		"asia.gcr.io":                              "gar",
		"mirror.gcr.io":                            "oci",
		"k8s.gcr.io":                               "oci",
		"pkg.dev.example.com":                      "oci",
		"acmedr.azurecr.io":                        "acr",
		"acmedr.azurecr.cn":                        "acr",
		"acmedr.azurecr.us":                        "acr",
		"acmedr-h4sh.azurecr.io":                   "acr",
		"acmedr.westeurope.geo.azurecr.io":         "acr",
		"mcr.microsoft.com":                        "oci",
		"ghcr.io":                                  "ghcr",
		"https://GHCR.io":                          "ghcr",
		"sub.ghcr.io":                              "oci",
		"docker.io":                                "dockerhub",
		"index.docker.io":                          "dockerhub",
		"https://registry-1.docker.io":             "dockerhub",
		"hub.docker.com":                           "oci",
		"registry.gitlab.com":                      "gitlab",
		"registry.gitlab.com:443":                  "gitlab",
		"quay.io":                                  "quay",
		"Quay.io:443":                              "quay",
		"cdn01.quay.io":                            "oci",
		"gitlab.com":                               "oci",
		"registry.example.com":                     "oci",
		"127.0.0.1:5000":                           "oci",
		"[::1]:5000":                               "oci",
		"":                                         "oci",
	} {
		got := InferProvider(host)
		if got != want {
			t.Errorf("%s is %s, want %s", host, got, want)
		}
		if err := checkCloudHost(got, host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	// A private endpoint or an emulator, as the policy says what it is.
	for provider, host := range map[string]string{"ecr": "127.0.0.1:5000", "gar": "registry.internal", "oci": "bad.azurecr.io"} {
		if err := checkCloudHost(provider, host); err != nil {
			t.Errorf("%s as %s: %v", host, provider, err)
		}
	}
}
