package acr

import (
	"cmp"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const metadataTime = 2500 * time.Millisecond // for what the instance's metadata is asked

// metadataHost is where Azure's instances ask for their identity's tokens.
const metadataHost = "169.254.169.254"

// A reach is how Azure's SDK reaches Entra, the instance's metadata and, for a
// registry, its exchange.
type reach struct {
	oci       oci.Options
	cloud     string // of the registry, as its host tells it
	authority string
	registry  *Registry // whose limits hold; nil for none
}

func (c reach) clientOptions() (azcore.ClientOptions, error) {
	base, err := c.base()
	if err != nil {
		return azcore.ClientOptions{}, err
	}
	o := azcore.ClientOptions{Transport: &transport{c.registry, c.oci.Observe, &http.Client{Transport: base, CheckRedirect: oci.Stay}}, Retry: retries(c.oci.Retry)}
	o.InsecureAllowCredentialWithHTTP = c.oci.PlainHTTP
	o.Telemetry.ApplicationID = "transship"
	switch { // another authority is for the public cloud, or none of Microsoft's: a secret stays in its own cloud
	case c.cloud == "cn":
		o.Cloud = cloud.AzureChina
	case c.cloud == "us":
		o.Cloud = cloud.AzureGovernment
	case c.authority != "":
		o.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: c.authority}
	}
	return o, nil
}

// reach is the registry's.
func (r *Registry) reach() reach {
	return reach{r.opts.OCI, r.host.Cloud, r.opts.Endpoints.Authority, r}
}

func (r *Registry) clientOptions() (azcore.ClientOptions, error) {
	o, err := r.reach().clientOptions()
	if err != nil {
		return o, r.fail("find credentials", "", providers.Invalid, err, "check caFile and proxy")
	}
	return o, nil
}

// retries is the budget of one question.
func retries(budget oci.Retry) policy.RetryOptions {
	budget.Tries, budget.Max = cmp.Or(budget.Tries, 4), cmp.Or(budget.Max, 5*time.Second)
	budget = budget.WithDefaults()
	o := policy.RetryOptions{MaxRetries: int32(budget.Tries - 1), RetryDelay: budget.Min, MaxRetryDelay: budget.Max}
	if o.MaxRetries == 0 {
		o.MaxRetries = -1 // their word for none
	}
	return o
}

// base is how Azure is reached: as the registry is, with its proxy and the
// authorities that it trusts.
func (c reach) base() (http.RoundTripper, error) {
	o := c.oci
	if o.Base != nil {
		return o.Base, nil
	}
	t, err := o.Beside()
	if err != nil {
		return nil, err
	}
	t.Proxy, t.IdleConnTimeout = oci.Direct(t.Proxy), time.Second // an identity is asked for twice in an hour
	return t, nil
}
