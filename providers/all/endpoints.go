package all

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr"
	"github.com/transship/transship/providers/gar"
)

// Where the clouds' own services are, if they are not where they always are:
// private endpoints, clouds of one's own, emulators. Each cloud's tools have
// variables for it, which count here, too; AWS's SDK reads its own. Credentials go
// there: http is for this machine only.

const (
	garAPI       = "CLOUDSDK_API_ENDPOINT_OVERRIDES_ARTIFACTREGISTRY"
	garIAM       = "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS"
	garSTS       = "CLOUDSDK_API_ENDPOINT_OVERRIDES_STS"
	garLocation  = "CLOUDSDK_ARTIFACTS_LOCATION"
	acrAuthority = "AZURE_AUTHORITY_HOST"
	awsIgnored   = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
)

// awsEndpoints are the variables of AWS's SDK that name where we, or who signs us
// in, ask.
var awsEndpoints = []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL_ECR_PUBLIC", "AWS_ENDPOINT_URL_STS",
	"AWS_ENDPOINT_URL_SSO", "AWS_ENDPOINT_URL_SSO_OIDC"}

// checkECREndpoints looks at what AWS's SDK will read.
func checkECREndpoints(o Options) error {
	if strings.EqualFold(os.Getenv(awsIgnored), "true") {
		return nil
	}
	return o.checkEndpoints(awsEndpoints...)
}

// garEndpoints are what gcloud takes from its properties api_endpoint_overrides and
// artifacts/location. The location counts for hosts whose names do not tell it.
func garEndpoints(o Options) (gar.Endpoints, error) {
	return gar.Endpoints{API: os.Getenv(garAPI), IAM: os.Getenv(garIAM), STS: exchangeAt(os.Getenv(garSTS)), Location: os.Getenv(garLocation)},
		o.checkEndpoints(garAPI, garIAM, garSTS)
}

// acrEndpoints has the authority that Azure's SDKs take from AZURE_AUTHORITY_HOST.
// One that is named is trusted: Microsoft's own is not asked whether it knows it.
func acrEndpoints(o Options) (acr.Endpoints, error) {
	return acr.Endpoints{Authority: os.Getenv(acrAuthority)}, o.checkEndpoints(acrAuthority)
}

// checkEndpoints refuses addresses to which no credential may go, by the name of
// the variable that has one.
func (o Options) checkEndpoints(variables ...string) error {
	if o.documented {
		return nil
	}
	for _, name := range variables {
		value := os.Getenv(name)
		if value == "" {
			continue
		}
		if err := mayHaveCredentials(value); err != nil {
			return &providers.Error{Kind: providers.Invalid, Op: "open registry", Ref: o.Host,
				Hint: "write https:// in " + name + ", or unset it", Err: fmt.Errorf("%s: %w", name, err)}
		}
	}
	return nil
}

var (
	errInClear = errors.New("credentials would go to another machine in clear: http is for loopback addresses")
	errNoURL   = errors.New("that is no https URL")
)

func mayHaveCredentials(endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errNoURL
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return errInClear
	}
	return nil
}

// isLoopback reports whether host is this machine, without asking any resolver.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// exchangeAt is the token exchange of a Security Token Service of Google that is not
// where it always is.
func exchangeAt(endpoint string) string {
	if endpoint == "" {
		return ""
	}
	return strings.TrimSuffix(endpoint, "/") + "/v1/token"
}
