package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	certSoon  = 14 * 24 * time.Hour // a certificate that ends before is warned of
	skewWarns = time.Minute
	skewFails = 5 * time.Minute // tokens and signatures of clouds are refused from here on
)

// reach looks at the way to the host, without a credential: name, TLS, clock. It
// returns why the registry itself cannot be asked, "" if it can.
func (d *doctor) reach(ctx context.Context) (barred string) {
	if proxy := d.proxied(); proxy != "" {
		d.skip("by the proxy "+proxy, "resolve", "tls", "clock")
		return ""
	}
	host, port := hostPort(d.up.Host, d.what.PlainHTTP)
	if d.run(ctx, "resolve", func(ctx context.Context) finding { return resolve(ctx, host) }).Verdict == failed {
		d.skip("the name does not resolve", "tls", "clock")
		return "the name does not resolve"
	}
	trusted := d.run(ctx, "tls", func(ctx context.Context) finding { return d.certificate(ctx, host, port) })
	if trusted.Verdict == failed && strings.HasPrefix(trusted.Detail, unreachable) {
		d.skip("the host cannot be reached", "clock")
		return "the host cannot be reached"
	}
	d.run(ctx, "clock", func(ctx context.Context) finding { return d.clock(ctx) })
	if trusted.Verdict == failed {
		return "no credential is sent over that connection"
	}
	return ""
}

// proxied names the proxy by which the host is asked, without credentials.
func (d *doctor) proxied() string {
	if text, err := d.what.Proxy.Resolve(); err == nil && text != "" {
		if u, err := url.Parse(text); err == nil {
			return u.Host
		}
	}
	u, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: d.scheme(), Host: d.up.Host}})
	if err != nil || u == nil {
		return ""
	}
	return u.Host
}

func (d *doctor) scheme() string {
	if d.what.PlainHTTP {
		return "http"
	}
	return "https"
}

// hostPort splits host[:port], with the port of its scheme.
func hostPort(host string, plain bool) (name, port string) {
	if name, port, err := net.SplitHostPort(host); err == nil {
		return name, port
	}
	port = "443"
	if plain {
		port = "80"
	}
	return strings.Trim(host, "[]"), port
}

func resolve(ctx context.Context, host string) finding {
	if net.ParseIP(host) != nil {
		return good("an address")
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return bad("check the spelling of host, and the DNS of this machine", "no such host: %s", host)
	}
	if err != nil {
		return bad("check the DNS of this machine", "%v", cmp.Or(context.Cause(ctx), err))
	}
	return good("%s", strings.Join(addresses[:min(len(addresses), 3)], ", "))
}

// unreachable begins the detail of a host that did not answer at all.
const unreachable = "no connection: "

// certificate shakes hands and judges what the host shows as the registry's own
// transport would.
func (d *doctor) certificate(ctx context.Context, host, port string) finding {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return bad("check host and port, and the way there (firewall, private endpoint)", "%s%v", unreachable, cmp.Or(context.Cause(ctx), err))
	}
	defer conn.Close()
	if d.what.PlainHTTP {
		return warn("use https, if the host speaks it", "plain http: everyone on the way can read and change what is sent")
	}
	client := tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) // verified below
	if err := client.HandshakeContext(ctx); err != nil {
		if _, plain := errors.AsType[tls.RecordHeaderError](err); plain {
			return bad("add plainHTTP: true, if it is on purpose", "the host does not speak TLS")
		}
		return bad("", "%v", cmp.Or(context.Cause(ctx), err))
	}
	state := client.ConnectionState()
	return d.verify(state, host)
}

func (d *doctor) verify(state tls.ConnectionState, host string) finding {
	leaf := state.PeerCertificates[0]
	roots, err := d.roots()
	if err != nil {
		return bad("check caFile", "%v", err)
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	until := leaf.NotAfter.UTC().Format(time.DateOnly)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: host})
	switch {
	case time.Now().After(leaf.NotAfter):
		return bad("renew it at the host, or check this machine's clock", "its certificate expired on %s", until)
	case time.Now().Before(leaf.NotBefore):
		return bad("check this machine's clock", "its certificate is good from %s on only", leaf.NotBefore.UTC().Format(time.DateOnly))
	case err != nil:
		return bad(tlsFix(err), "%v", err)
	case time.Until(leaf.NotAfter) < certSoon:
		return warn("renew it at the host", "its certificate ends on %s", until)
	}
	return good("%s, certificate until %s", tls.VersionName(state.Version), until)
}

func (d *doctor) roots() (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if d.what.CAFile == "" {
		return pool, nil
	}
	pem, err := os.ReadFile(d.what.CAFile)
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", d.what.CAFile)
	}
	return pool, nil
}

func tlsFix(err error) string {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "use a host name that its certificate holds"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "set caFile to the certificate authority that signed it"
	}
	return ""
}

// clock compares the Date that the host answers with this machine's time.
func (d *doctor) clock(ctx context.Context) finding {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true} // nothing is sent
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.scheme()+"://"+d.up.Host+"/v2/", nil)
	if err != nil {
		return bad("", "%v", err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return finding{Verdict: skipped, Detail: "the host did not answer: " + cmp.Or(context.Cause(ctx), err).Error()}
	}
	resp.Body.Close()
	then, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return finding{Verdict: skipped, Detail: "the host tells no date"}
	}
	skew := time.Since(then)
	return judgeSkew(skew)
}

func judgeSkew(skew time.Duration) finding {
	const fix = "set this machine's clock (NTP); signatures and tokens of the clouds are refused when it is off"
	ahead := "ahead of"
	if skew < 0 {
		skew, ahead = -skew, "behind"
	}
	text := fmt.Sprintf("this machine is %v %s the host", skew.Round(10*time.Second), ahead)
	switch {
	case skew >= skewFails:
		return bad(fix, "%s", text)
	case skew >= skewWarns:
		return warn(fix, "%s", text)
	}
	return good("within a minute of the host's")
}
