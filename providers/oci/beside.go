package oci

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/transship/transship/providers/limit"
)

// What the clouds' own libraries are given, so that they reach their services, wait
// and keep to limits as the registry's requests do.

const (
	besideDial   = 5 * time.Second
	besideAnswer = 30 * time.Second
)

// Beside is a transport to a cloud's services: through the registry's proxy, with
// the authorities that it trusts and without its client certificate. Who makes it
// closes its idle connections.
func (o Options) Beside() (*http.Transport, error) {
	proxy, err := o.ProxyFunc()
	if err != nil {
		return nil, err
	}
	roots, err := o.TLS.Roots()
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: besideDial, KeepAlive: 15 * time.Second}
	return &http.Transport{Proxy: proxy, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: besideDial, ResponseHeaderTimeout: besideAnswer, IdleConnTimeout: 90 * time.Second,
		MaxIdleConnsPerHost: limit.DefaultMax, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}, nil
}

// ProxyFunc chooses the proxy of a request: Proxy, or the environment's.
func (o Options) ProxyFunc() (func(*http.Request) (*url.URL, error), error) {
	if o.Proxy == "" {
		return http.ProxyFromEnvironment, nil
	}
	u, err := url.Parse(o.Proxy)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("proxy is not a URL such as http://proxy:3128")
	}
	return http.ProxyURL(u), nil
}

// Direct keeps from a proxy what is answered on this machine or its link: an
// instance's metadata and identity endpoints, which take and give secrets.
func Direct(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		host := req.URL.Hostname()
		ip := net.ParseIP(host)
		if host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsLinkLocalUnicast()) {
			return nil, nil
		}
		return proxy(req)
	}
}

// Roots are the system's authorities and those that t names; nil is the system's.
func (t TLS) Roots() (roots *x509.CertPool, err error) {
	pems := [][]byte{t.CAPEM}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read caFile: %w", err)
		}
		pems = append(pems, pem)
	}
	for _, pem := range pems {
		if len(pem) == 0 {
			continue
		}
		if roots == nil {
			roots = systemRoots()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("no PEM certificate in caFile %q", t.CAFile)
		}
	}
	return roots, nil
}

func systemRoots() *x509.CertPool {
	if pool, err := x509.SystemCertPool(); err == nil {
		return pool
	}
	return x509.NewCertPool()
}

// Stay is an [http.Client]'s CheckRedirect that follows none: what is sent is a
// credential, or signed for one host.
func Stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// WithDefaults has the defaults where b is zero.
func (b Retry) WithDefaults() Retry {
	def(&b.Tries, 6)
	def(&b.Min, 250*time.Millisecond)
	def(&b.Max, 20*time.Second)
	def(&b.MaxAfter, 2*time.Minute)
	return b
}

// Backoff is how long to wait before a try after n others: full jitter over Min,
// doubled n times, and at most Max.
func (b Retry) Backoff(n int) time.Duration {
	bound := b.Min << min(n, 30)
	if bound <= 0 || bound > b.Max {
		bound = b.Max
	}
	return rand.N(bound + 1)
}

// Weigh tells the limiter what an answer says of how much the host may be asked.
func Weigh(t limit.Ticket, status int, h http.Header) {
	switch {
	case status == http.StatusTooManyRequests:
		t.Throttled()
	case status == http.StatusServiceUnavailable && h.Get("Retry-After") != "":
		t.Throttled()
	case status == http.StatusServiceUnavailable:
		t.Unavailable()
	case status > 0 && status < 500:
		t.Good()
	}
}
