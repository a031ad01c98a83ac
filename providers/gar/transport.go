package gar

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/transship/transship/providers/limit"
	"github.com/transship/transship/providers/oci"
)

const (
	dialTimeout   = 5 * time.Second
	answerTimeout = 30 * time.Second
)

// transports are how Google is reached: as the registry is, with its proxy and the
// authorities that it trusts; and the instance's metadata, without a proxy.
func transports(o oci.Options) (web, metadata http.RoundTripper, err error) {
	if o.Base != nil {
		return o.Base, o.Base, nil
	}
	proxy := http.ProxyFromEnvironment
	if o.Proxy != "" {
		u, err := url.Parse(o.Proxy)
		if err != nil {
			return nil, nil, errors.New("the proxy's address cannot be read")
		}
		proxy = http.ProxyURL(u)
	}
	roots, err := trusted(o.TLS)
	if err != nil {
		return nil, nil, err
	}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	t := &http.Transport{Proxy: proxy, DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: dialTimeout,
		ResponseHeaderTimeout: answerTimeout, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: limit.DefaultMax}
	if roots != nil {
		t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return t, &http.Transport{DialContext: dialer.DialContext, IdleConnTimeout: 30 * time.Second}, nil
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
