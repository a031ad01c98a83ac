package acr

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const (
	dialTimeout   = 5 * time.Second
	answerTimeout = 30 * time.Second
	metadataTime  = 2500 * time.Millisecond // for what the instance's metadata is asked
)

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
	o := azcore.ClientOptions{Transport: &transport{c.registry, c.oci.Observe, &http.Client{Transport: base, CheckRedirect: stay}}, Retry: retries(c.oci.Retry)}
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

// stay follows no redirect: what is sent is a credential.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// retries is the budget of one question.
func retries(budget oci.Retry) policy.RetryOptions {
	def(&budget.Tries, 4)
	def(&budget.Min, 250*time.Millisecond)
	def(&budget.Max, 5*time.Second)
	o := policy.RetryOptions{MaxRetries: int32(budget.Tries - 1), RetryDelay: budget.Min, MaxRetryDelay: budget.Max}
	if o.MaxRetries == 0 {
		o.MaxRetries = -1 // their word for none
	}
	return o
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// base is how Azure is reached: as the registry is, with its proxy and the
// authorities that it trusts.
func (c reach) base() (http.RoundTripper, error) {
	o := c.oci
	if o.Base != nil {
		return o.Base, nil
	}
	proxy := http.ProxyFromEnvironment
	if o.Proxy != "" {
		u, err := url.Parse(o.Proxy)
		if err != nil {
			return nil, errors.New("the proxy's address cannot be read")
		}
		proxy = http.ProxyURL(u)
	}
	roots, err := trusted(o.TLS)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Transport{Proxy: direct(proxy), DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: answerTimeout,
		IdleConnTimeout: time.Second, ForceAttemptHTTP2: true, // an identity is asked for twice in an hour
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}, nil
}

// direct keeps from a proxy what is answered on this machine or its link: an
// instance's metadata and identity endpoints, which take and give secrets.
func direct(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		host := req.URL.Hostname()
		ip := net.ParseIP(host)
		if host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsLinkLocalUnicast()) {
			return nil, nil
		}
		return proxy(req)
	}
}

// trusted are the system's authorities and those of the policy; nil is the system's.
func trusted(o oci.TLS) (*x509.CertPool, error) {
	pem := o.CAPEM
	if o.CAFile != "" {
		raw, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, err
		}
		pem = append(pem[:len(pem):len(pem)], raw...)
	}
	if len(pem) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(pem)
	return pool, nil
}
