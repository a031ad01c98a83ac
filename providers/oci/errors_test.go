package oci

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

func TestClassify(t *testing.T) {
	envelope := func(code, message string) string {
		return fmt.Sprintf(`{"errors":[{"code":%q,"message":%q}]}`, code, message)
	}
	for _, tt := range []struct {
		name   string
		op     string
		status int
		body   string
		want   providers.Kind
	}{
		{"plain 429", "", 429, "", providers.Throttled},
		{"Docker Hub's 429", "", 429, envelope("TOOMANYREQUESTS", "You have reached your pull rate limit"), providers.Throttled},
		{"503", "", 503, "", providers.Unavailable},
		{"500 with a code", "", 500, envelope("UNKNOWN", "x"), providers.Unavailable},
		{"408", "", 408, "", providers.Unavailable},
		{"401", "", 401, envelope("UNAUTHORIZED", "authentication required"), providers.Denied},
		{"403", "", 403, "", providers.Denied},
		{"ECR, tag immutable", opPutManifest, 400, envelope("TAG_INVALID", "The image tag 'T' already exists in the 'R' repository and cannot be overwritten because the repository is immutable."), providers.Conflict},
		{"a tag that is none", "", 400, envelope("TAG_INVALID", "manifest tag did not match URI"), providers.Invalid},
		{"ACR, locked", opPutManifest, 405, envelope("REGISTRY_DISALLOWED_OPERATION", "The operation is disallowed"), providers.Conflict},
		{"GAR, tag immutable", opPutManifest, 400, envelope("MANIFEST_INVALID", "manifest invalid: cannot update tag X. The repository has enabled tag immutability"), providers.Conflict},
		{"GAR, manifest invalid", opPutManifest, 400, envelope("MANIFEST_INVALID", "manifest invalid"), providers.Invalid},
		{"GAR, no repository", opUpload, 403, envelope("DENIED", `Permission "artifactregistry.repositories.uploadArtifacts" denied on resource "projects/P" (or it may not exist)`), providers.Denied},
		{"Harbor, immutable", opPutManifest, 412, envelope("PRECONDITION", "Failed to process request due to 'a:v1' configured as immutable."), providers.Conflict},
		{"Harbor, quota", opPutManifest, 403, envelope("DENIED", "adding 5.9 MiB of storage resource, which when updated to current usage of 99 MiB will exceed the configured upper limit of 100.0 MiB."), providers.Quota},
		{"Quay, immutable", opPutManifest, 409, envelope("TAG_IMMUTABLE", "x"), providers.Conflict},
		{"If-Match", opPutManifest, 412, "", providers.Conflict},
		{"missing layer", opPutManifest, 400, envelope("MANIFEST_BLOB_UNKNOWN", "blob unknown"), providers.Incomplete},
		{"missing layer, another word", opPutManifest, 404, envelope("BLOB_UNKNOWN", "blob unknown"), providers.Incomplete},
		{"distribution 2.8, layer sent again meanwhile", opPutManifest, 400, `{"errors":[{"code":"DIGEST_INVALID","message":"x"},{"code":"MANIFEST_BLOB_UNKNOWN","message":"y"}]}`, providers.Incomplete},
		{"missing child", opPutManifest, 404, envelope("MANIFEST_UNKNOWN", "x"), providers.Incomplete},
		{"missing repository", opPutManifest, 404, envelope("NAME_UNKNOWN", "x"), providers.NotFound},
		{"missing manifest", "get manifest", 404, envelope("MANIFEST_UNKNOWN", "x"), providers.NotFound},
		{"missing blob", "get blob", 404, envelope("BLOB_UNKNOWN", "x"), providers.NotFound},
		{"wrong digest", opUpload, 400, envelope("DIGEST_INVALID", "x"), providers.Invalid},
		{"wrong size", opUpload, 400, envelope("SIZE_INVALID", "x"), providers.Invalid},
		{"media type", opPutManifest, 415, "", providers.Unsupported},
		{"zot, media type", opPutManifest, 415, envelope("MANIFEST_INVALID", "manifest invalid"), providers.Unsupported},
		{"405", "", 405, envelope("UNSUPPORTED", "x"), providers.Unsupported},
		{"disk full", opUpload, 507, "", providers.Quota},
		{"redirected write", opUpload, 307, "", providers.Invalid},
		{"a success that is none", opUpload, 204, "", providers.Invalid},
		{"sign-in, bad request", opToken, 400, `{"error":"invalid_grant","error_description":"x"}`, providers.Denied},
		{"sign-in, away", opToken, 503, "", providers.Unavailable},
		{"a page about limits", "", 429, "<html>", providers.Throttled},
		{"teapot", "", 418, "", providers.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := parseAnswer(tt.status, "application/json", []byte(tt.body))
			kind, hint := classify(tt.op, a, true)
			if kind != tt.want {
				t.Errorf("%s, want %s", kind, tt.want)
			}
			if (kind == providers.Denied || kind == providers.Quota || kind == providers.Conflict) && hint == "" {
				t.Error("no hint")
			}
			if a.text().Error() == "" {
				t.Error("no text")
			}
		})
	}
	if kind, hint := classify("get blob", answer{status: 403}, false); kind != providers.Unavailable || hint == "" {
		t.Errorf("a storage host that refuses: %s, %q", kind, hint)
	}
}

func TestSanitize(t *testing.T) {
	for in, want := range map[string]string{
		"a\x00b\x1b[31mred\nline":                           "a b [31mred line",
		`see https://s3/x?X-Amz-Signature=abc&y=1 for more`: "see https://s3/x?… for more",
		"https://user:secret@host/path":                     "https://host/path",
		"header Bearer abcdefghijklmnop was wrong":          "header Bearer [redacted] was wrong",
		"Basic dXNlcjpzZWNyZXQ= refused":                    "Basic [redacted] refused",
		"bidi \u202e override":                              "bidi override",
	} {
		if got := sanitize(in); got != want {
			t.Errorf("%q\n got %q\nwant %q", in, got, want)
		}
	}
	if got := sanitize(strings.Repeat("ä", 10_000)); len(got) > maxMessage+10 {
		t.Errorf("%d bytes", len(got))
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(400, "application/json", []byte(`{"errors":[{"code":"DENIED","message":"https://a/b?sig=1","detail":{"name":"x"}}]}`))
	f.Add(502, "text/html", []byte(`<html>Bearer abcdefghijkl</html>`))
	f.Add(400, "", []byte(`{"error":"x","message":1}`))
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		a := parseAnswer(status, contentType, body)
		classify(opPutManifest, a, true)
		for _, s := range []string{a.code, a.message} {
			if len(s) > maxMessage+40 || strings.ContainsFunc(s, unicode.IsControl) {
				t.Errorf("%q from %q", s, body)
			}
			if sanitize(s) != s && !strings.HasSuffix(s, "…") && !strings.Contains(s, "more)") {
				t.Errorf("%q changes when it is sanitized again: %q", s, sanitize(s))
			}
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, "0": 0, "-3": 0, "x": 0, "1.5": 0,
		"99999999999999999999":          0,
		"9999999999":                    24 * time.Hour,
		"Fri, 20 Nov 2026 12:00:30 GMT": 30 * time.Second,
		"Fri, 20 Nov 2026 11:00:00 GMT": 0,
		"Fri, 20 Nov 2099 11:00:00 GMT": 24 * time.Hour,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {in}}, now); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("5")
	f.Add("Fri, 20 Nov 2026 12:00:30 GMT")
	f.Fuzz(func(t *testing.T, s string) {
		if d := RetryAfter(http.Header{"Retry-After": {s}}, time.Now()); d < 0 || d > maxRetryAfter {
			t.Errorf("%q: %v", s, d)
		}
	})
}

func FuzzRanges(f *testing.F) {
	f.Add("bytes 5-9/10")
	f.Add("0-99")
	f.Fuzz(func(t *testing.T, s string) {
		if start, _, ok := contentRange(s); ok && start < 0 {
			t.Errorf("%q: %d", s, start)
		}
		if end, ok := rangeEnd(s); ok && end < 0 {
			t.Errorf("%q: %d", s, end)
		}
	})
}

func TestBackoff(t *testing.T) {
	b := Retry{}.WithDefaults()
	for n := 1; n < 100; n++ {
		bound := 20 * time.Second
		if n < 7 {
			bound = 250 * time.Millisecond << (n - 1)
		}
		for range 20 {
			if d := b.Backoff(n - 1); d < 0 || d > bound {
				t.Fatalf("try %d waits %v, more than %v", n, d, bound)
			}
		}
	}
}

func TestTheWayToTheHost(t *testing.T) {
	secure := registrytest.New(t, registrytest.Options{TLS: true})
	plain := registrytest.New(t, registrytest.Options{})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for name, tt := range map[string]struct {
		host  string
		plain bool
		hint  string
		tries int
	}{
		"unknown authority":  {secure.Host(), false, "caFile", 1},
		"TLS to a plain one": {plain.Host(), false, "plainHTTP", 1},
		"plain to a TLS one": {secure.Host(), true, "", 1},
		"nobody there":       {closed.Addr().String(), true, "nothing listens", 2},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := New(Options{Host: tt.host, PlainHTTP: tt.plain, Retry: Retry{Tries: 2, Min: time.Millisecond, Max: time.Millisecond}})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			_, err = r.Head(t.Context(), "app", "v1")
			e, _ := errors.AsType[*providers.Error](err)
			if e == nil || !strings.Contains(e.Hint, tt.hint) || e.Ref != tt.host+"/app:v1" {
				t.Errorf("error %v, hint %q", err, providers.HintOf(err))
			}
			if tried := strings.Contains(fmt.Sprint(err), "tried"); tried != (tt.tries > 1) {
				t.Errorf("tried again: %v, %v", tried, err)
			}
		})
	}
	for want, err := range map[string]error{
		"DNS":         &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true},
		"certificate": x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"},
		"expired":     x509.CertificateInvalidError{Reason: x509.Expired},
		"listens":     fmt.Errorf("dial: %w", syscall.ECONNREFUSED),
		"clientCert":  errors.New("remote error: tls: certificate required"),
	} {
		if kind, hint, _ := reachability(err); !strings.Contains(hint, want) || kind != providers.Unavailable {
			t.Errorf("%v: %s, hint %q", err, kind, hint)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"no host": {}, "a URL": {Host: "https://example.com/v2"}, "a path": {Host: "example.com/team"},
		"CA file":   {Host: "example.com", TLS: TLS{CAFile: "/nonexistent/ca.pem"}},
		"CA":        {Host: "example.com", TLS: TLS{CAPEM: []byte("no PEM")}},
		"cert file": {Host: "example.com", TLS: TLS{CertFile: "/nonexistent/c.pem"}},
		"proxy":     {Host: "example.com", Proxy: "proxy"},
	} {
		_, err := New(o)
		if e := wantKindOrEmptyRef(err); e == nil || e.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func wantKindOrEmptyRef(err error) *providers.Error {
	e, _ := errors.AsType[*providers.Error](err)
	if e == nil || e.Kind != providers.Invalid {
		return nil
	}
	return e
}

// A proxy may be on a private address, and is asked for other hosts too.
func TestProxy(t *testing.T) {
	s := server(t, nil)
	m := image("app")
	load(t, s, "app", m, "v1")
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked = append(asked, req.URL.Host)
		req.RequestURI = ""
		req.URL.Host = s.Host()
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			w.WriteHeader(502)
			return
		}
		defer resp.Body.Close()
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
	}))
	defer proxy.Close()
	r, err := New(Options{Host: "registry.invalid", PlainHTTP: true, Proxy: proxy.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	d, err := r.Head(context.WithoutCancel(t.Context()), "app", "v1")
	if err != nil || d.Digest != m.Digest {
		t.Error(d, err)
	}
	if len(asked) == 0 || asked[0] != "registry.invalid" {
		t.Errorf("the proxy was asked for %q", asked)
	}
}
