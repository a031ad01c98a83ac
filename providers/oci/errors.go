package oci

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/transship/transship/providers"
)

var (
	errBadLocation = errors.New("the host answered with a Location that is no address")
	errTooLong     = errors.New("the answer is longer than any that is read")
	errWebPage     = errors.New("the host answered with a web page")
)

const (
	hintTrust = "if that host is yours, list it in the registry's trustHosts; no credential is sent to it either way"
	hintSlow  = "the host, or something on the way to it, is stuck: look there if it goes on"
	hintHost  = "check that host is a container registry and not its web console"
)

// maxErrorBody is how much of an error's body is read.
const maxErrorBody = 64 << 10

// fail is an error of c.
func (r *Registry) fail(c *call, kind providers.Kind, err error, hint string) *providers.Error {
	return &providers.Error{Kind: kind, Op: c.op, Ref: r.where(c.repo, c.ref), Hint: hint, Err: err}
}

// where names what a call is about: host/repository:tag or host/repository@digest.
func (r *Registry) where(repo, ref string) string {
	s := r.Host()
	if repo != "" {
		s += "/" + repo
	}
	switch {
	case ref == "":
	case strings.Contains(ref, ":"):
		s += "@" + ref
	default:
		s += ":" + ref
	}
	return s
}

// answerError turns an answer that was not hoped for into an error.
func (r *Registry) answerError(c *call, resp *http.Response) error {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if cause := context.Cause(resp.Request.Context()); err != nil && cause != nil && len(raw) == 0 {
		return err
	}
	a := parseAnswer(resp.StatusCode, resp.Header.Get("Content-Type"), raw)
	own := r.isOwn(resp.Request.URL) || c.stay
	kind, hint := r.explain(c, a, own)
	text := a.text()
	if !own {
		text = fmt.Errorf("%s, to which the registry redirects: %w", resp.Request.URL.Host, text)
	}
	e := r.fail(c, kind, text, hint)
	e.Status, e.Code, e.After = a.status, a.code, RetryAfter(resp.Header, time.Now())
	return e
}

// A Refusal is an answer that was not hoped for, for [Options.Explain].
type Refusal struct {
	Op        string // what was tried, as in [providers.Error]
	Repo, Ref string
	Status    int
	Code      string // the first error's
	Message   string // without credentials and URL queries
	Detail    string // the first error's detail, as JSON
}

// explain asks the cloud's own words first.
func (r *Registry) explain(c *call, a answer, own bool) (providers.Kind, string) {
	kind, hint := classify(c.op, a, own)
	explain := r.opts.Explain
	if !own {
		explain = r.opts.ExplainRedirect
	}
	if explain == nil {
		return kind, hint
	}
	k, h, ok := explain(Refusal{Op: c.op, Repo: c.repo, Ref: c.ref,
		Status: a.status, Code: a.code, Message: a.message, Detail: a.detail})
	if !ok {
		return kind, hint
	}
	return k, cmp.Or(h, hint)
}

// transportError is the error of a request that was not answered, or not to its end.
func (r *Registry) transportError(c *call, err error) error {
	if e, ok := errors.AsType[*providers.Error](err); ok {
		return e
	}
	kind, hint, stop := reachability(err)
	err = errors.New(sanitize(err.Error()))
	if stop {
		err = &final{err}
	}
	return r.fail(c, kind, err, hint)
}

// reachability says what a failure on the way to a host means, and whether it
// will be the same a second from now.
func reachability(err error) (kind providers.Kind, hint string, stop bool) {
	if errors.Is(err, errRefused) {
		return providers.Invalid, hintTrust, true
	}
	if errors.Is(err, errSilent) || errors.Is(err, errStalled) || errors.Is(err, errSlow) {
		return providers.Unavailable, hintSlow, false
	}
	if hint := tlsHint(err); hint != "" {
		return providers.Unavailable, hint, true
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return providers.Unavailable, "check the spelling of host, and the DNS of this machine", true
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return providers.Unavailable, "check host and port: nothing listens there", false
	}
	return providers.Unavailable, "", false
}

func tlsHint(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "set caFile to the certificate authority that signed it"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "use a host name that its certificate holds"
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return "its certificate is expired or not for this use: renew it, or check this machine's clock"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the host does not speak TLS: plainHTTP: true?"
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "the host does not speak TLS: plainHTTP: true?"
	case strings.Contains(text, "certificate required") || strings.Contains(text, "bad certificate"):
		return "the host wants a client certificate: set clientCert and clientKey"
	case strings.Contains(text, "malformed HTTP response \"\\x15\\x03"):
		return hintTLS
	}
	return ""
}

// webPage refuses answers of status 200 that are a page for people, or that are in
// an encoding which nobody asked for.
func (r *Registry) webPage(c *call, resp *http.Response) error {
	if t := mediaType(resp.Header); t == "text/html" {
		return r.fail(c, providers.Invalid, errWebPage, hintHost)
	}
	if packed := resp.Header.Get("Content-Encoding"); packed != "" && packed != "identity" && c.method == http.MethodGet {
		return r.fail(c, providers.Invalid, fmt.Errorf("the host answers in the encoding %s, which was not asked for", sanitize(packed)),
			"a proxy before the registry compresses: have it leave /v2/ alone")
	}
	return nil
}

// portal refuses a page with status 200 in answer to a write: somebody before the
// registry has sent it, and nothing was written. Registries that have done it say
// 201, 202 or 204, some of them with an HTML type.
func (r *Registry) portal(c *call, resp *http.Response) error {
	write := c.method == http.MethodPut || c.method == http.MethodPost || c.method == http.MethodPatch
	if !write || c.unsigned || resp.StatusCode != http.StatusOK || resp.ContentLength == 0 {
		return nil
	}
	return r.webPage(c, resp)
}

// mediaType is the Content-Type without its parameters.
func mediaType(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		t, _, _ = strings.Cut(h.Get("Content-Type"), ";")
	}
	return strings.ToLower(strings.TrimSpace(t))
}
