package ecr

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/transship/transship/providers/oci"
)

const (
	dialTimeout   = 5 * time.Second
	answerTimeout = 30 * time.Second
)

// httpClient is how the API is reached: as the registry is, with its proxy and
// the authorities that it trusts. The SDK adds those of AWS_CA_BUNDLE to a client
// of its own making only.
func httpClient(o oci.Options) (aws.HTTPClient, error) {
	if o.Base != nil {
		return &http.Client{Transport: o.Base}, nil
	}
	proxy, err := o.ProxyFunc()
	if err != nil {
		return nil, err
	}
	roots, err := o.TLS.Roots()
	if err != nil {
		return nil, err
	}
	return awshttp.NewBuildableClient().WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
		WithTransportOptions(func(t *http.Transport) {
			t.Proxy, t.ResponseHeaderTimeout = oci.Direct(proxy), answerTimeout
			if roots != nil {
				t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
			}
		}), nil
}
