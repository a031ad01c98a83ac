package oci

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// transports returns the transport for the registry's own host, whose addresses
// the guard learns, and the one for all other hosts, whose addresses it judges.
// Both speak HTTP/1.1: one HTTP/2 connection is one TCP flow, and bodies are
// what we carry.
func transports(o Options, g *guard) (own, other http.RoundTripper, err error) {
	if o.Base != nil {
		return o.Base, o.Base, nil
	}
	config, err := tlsConfig(o.TLS)
	if err != nil {
		return nil, nil, err
	}
	proxy, err := proxyFunc(o, g)
	if err != nil {
		return nil, nil, err
	}
	foreign := config.Clone()
	foreign.Certificates = nil // a client certificate is a credential
	learn, judge, named := dialer(o), dialer(o), dialer(o)
	learn.Control, judge.Control = g.learn, g.judge
	dialOther := func(ctx context.Context, network, address string) (net.Conn, error) {
		if g.named(address) {
			return named.DialContext(ctx, network, address)
		}
		return judge.DialContext(ctx, network, address)
	}
	return newTransport(o, learn.DialContext, proxy, config), newTransport(o, dialOther, proxy, foreign), nil
}

func dialer(o Options) *net.Dialer {
	return &net.Dialer{Timeout: o.Timeouts.Dial, KeepAlive: 15 * time.Second}
}

type (
	dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)
	pickFunc = func(*http.Request) (*url.URL, error)
)

func newTransport(o Options, dial dialFunc, proxy pickFunc, tls *tls.Config) *http.Transport {
	var http1 http.Protocols
	http1.SetHTTP1(true)
	return &http.Transport{
		Proxy:               proxy,
		DialContext:         dialBodies(dial),
		TLSClientConfig:     tls,
		TLSHandshakeTimeout: o.Timeouts.Dial,
		Protocols:           &http1,
		// Reads and writes have a width each.
		MaxIdleConnsPerHost:    2 * o.Limits.Max,
		MaxConnsPerHost:        2 * o.Limits.Max,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true, // bytes as they are
		MaxResponseHeaderBytes: 64 << 10,
		WriteBufferSize:        32 << 10,
		ReadBufferSize:         32 << 10,
	}
}

func tlsConfig(t TLS) (*tls.Config, error) {
	roots, err := t.Roots()
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	if t.CertFile != "" || t.KeyFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read clientCert and clientKey: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}

// proxyFunc chooses the proxy of a request and lets the guard know it, so that a
// proxy may be on a private address.
func proxyFunc(o Options, g *guard) (pickFunc, error) {
	choose, err := o.ProxyFunc()
	if err != nil {
		return nil, err
	}
	return func(req *http.Request) (*url.URL, error) {
		u, err := choose(req)
		if u != nil && err == nil {
			g.proxied(u)
		}
		return u, err
	}, nil
}
