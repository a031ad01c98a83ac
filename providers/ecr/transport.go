package ecr

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/transship/transship/providers/oci"
)

// httpClient is how the API is reached: as the registry is, with its proxy and
// the authorities that it trusts.
func httpClient(o oci.Options) (aws.HTTPClient, error) {
	if o.Base != nil {
		return &http.Client{Transport: o.Base}, nil
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
	return awshttp.NewBuildableClient().WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
		WithTransportOptions(func(t *http.Transport) {
			t.Proxy, t.ResponseHeaderTimeout = proxy, answerTimeout
			if roots != nil {
				t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
			}
		}), nil
}

// trusted are the system's authorities and those of the policy; nil is the system's.
func trusted(o oci.TLS) (*x509.CertPool, error) {
	pem := o.CAPEM
	if o.CAFile != "" {
		raw, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, err
		}
		pem = append(pem, raw...)
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
