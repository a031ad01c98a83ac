package oci

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

// A sink is another host: it records what it is sent and never should be.
type sink struct {
	*httptest.Server
	mu      sync.Mutex
	headers []http.Header
}

func newSink(t *testing.T, address string, answer http.HandlerFunc) *sink {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{}
	s.Server = &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.mu.Lock()
		s.headers = append(s.headers, req.Header.Clone())
		s.mu.Unlock()
		answer(w, req)
	})}}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *sink) seen() []http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.headers
}

func (s *sink) port() string {
	return s.Listener.Addr().(*net.TCPAddr).AddrPort().String()[strings.LastIndex(s.Listener.Addr().String(), ":")+1:]
}

func ok(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "blob") }

// credentials lists what a header gives away.
func credentials(h http.Header) string {
	var found []string
	for name, values := range h {
		for _, v := range values {
			if name == "Authorization" || strings.Contains(v, "secret") || strings.HasPrefix(v, "Bearer") {
				found = append(found, name)
			}
		}
	}
	return strings.Join(found, " ")
}

var someBlob = v1.Descriptor{Size: 4, Digest: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}}

// basicHost wants Basic and leads blobs and uploads to where the test says.
func basicHost(t *testing.T, lead func(path string) string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, password, _ := req.BasicAuth(); password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(401)
			return
		}
		if req.URL.Path == "/v2/" {
			return
		}
		w.Header().Set("Location", lead(req.URL.Path))
		if req.Method == http.MethodPost {
			w.WriteHeader(202)
		} else {
			w.WriteHeader(307)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestNoCredentialForOtherHosts(t *testing.T) {
	same := newSink(t, "127.0.0.1:0", ok) // another port of the registry's own address
	s := basicHost(t, func(string) string { return same.URL + "/here?sig=1" })
	r := openAt(t, s.URL, signedIn)
	if raw, err := readBlob(t.Context(), r, "app", someBlob, 0); err != nil || string(raw) != "blob" {
		t.Errorf("blob %q, %v", raw, err)
	}
	r.Head(t.Context(), "app", "v1")
	r.Put(t.Context(), "app", someBlob, strings.NewReader("blob"), providers.UploadOptions{})
	if n := len(same.seen()); n < 3 {
		t.Fatalf("%d requests at the other host, want a read, a HEAD and an upload at least", n)
	}
	for _, h := range same.seen() {
		if gives := credentials(h); gives != "" {
			t.Errorf("the other host got %s", gives)
		}
	}
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	elsewhere := newSink(t, "127.0.0.2:0", ok)
	byName := newSink(t, "127.0.0.1:0", ok)
	for name, to := range map[string]string{
		"literal":       elsewhere.URL,
		"name":          "http://localhost:" + byName.port(), // dialed, and then refused
		"mapped":        "http://[::ffff:127.0.0.2]:" + elsewhere.port(),
		"metadata":      "http://169.254.169.254",
		"user":          "http://a:b@127.0.0.1:" + byName.port(),
		"scheme":        "file:///etc/passwd",
		"without host":  "http:///x",
		"unspecified":   "http://0.0.0.0:" + byName.port(),
		"no address":    "http://[",
		"unique local":  "http://[fd00::1]",
		"NAT64":         "http://[64:ff9b::7f00:1]",
		"carrier-grade": "http://100.64.0.1",
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.3:0") // the registry's own address
			if err != nil {
				t.Fatal(err)
			}
			s := basicHost(t, func(string) string { return to + "/x" })
			own := &httptest.Server{Listener: l, Config: s.Config}
			own.Start()
			defer own.Close()
			r := openAt(t, own.URL, signedIn)
			_, err = readBlob(t.Context(), r, "app", someBlob, 0)
			e := wantKind(t, err, providers.Invalid)
			if e.Hint == "" || strings.Contains(err.Error(), "tried") {
				t.Errorf("error %v, hint %q; want one try and a hint", err, e.Hint)
			}
			_, err = r.Put(t.Context(), "app", someBlob, strings.NewReader("blob"), providers.UploadOptions{})
			wantKind(t, err, providers.Invalid)
			_, err = r.Put(t.Context(), "app", someBlob, strings.NewReader("blob"), providers.UploadOptions{From: &providers.Session{Location: to + "/x"}})
			wantKind(t, err, providers.Invalid)
			if n := len(elsewhere.seen()) + len(byName.seen()); n != 0 {
				t.Errorf("%d requests arrived where none may go", n)
			}
		})
	}
}

func TestTrustedHostIsFollowedWithoutCredential(t *testing.T) {
	elsewhere := newSink(t, "127.0.0.2:0", ok)
	s := basicHost(t, func(string) string { return elsewhere.URL + "/x" })
	r := openAt(t, s.URL, signedIn, func(o *Options) { o.TrustHosts = []string{"127.0.0.2"} })
	if raw, err := readBlob(t.Context(), r, "app", someBlob, 0); err != nil || string(raw) != "blob" {
		t.Fatalf("blob %q, %v", raw, err)
	}
	if gives := credentials(elsewhere.seen()[0]); gives != "" {
		t.Errorf("the trusted host got %s", gives)
	}
}

func TestNoDowngrade(t *testing.T) {
	plain := newSink(t, "127.0.0.1:0", ok)
	s := registrytest.New(t, registrytest.Options{TLS: true})
	m := image("app")
	load(t, s, "app", m, "v1")
	s.Set(func(q *registrytest.Quirks) { q.Redirect, q.RedirectTo = true, plain.URL })
	r := open(t, s)
	if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
		t.Fatal(err)
	}
	_, err := readBlob(t.Context(), r, "app", m.Blobs[0].Descriptor, 0)
	wantKind(t, err, providers.Invalid)
	if len(plain.seen()) != 0 {
		t.Error("it went from https to http")
	}
}

func TestRealms(t *testing.T) {
	for _, tt := range []struct {
		name, registry, realm, allowed string
		plain, want                    bool
	}{
		{"public https", "https://r.example.com", "https://auth.example.com/token", "", false, true},
		{"own host", "https://r.example.com", "https://r.example.com/token", "", false, true},
		{"own host, other port", "https://10.0.0.1:5000", "https://10.0.0.1:5001/token", "", false, true},
		{"private literal", "https://r.example.com", "https://10.0.0.1/token", "", false, false},
		{"loopback", "https://r.example.com", "https://[::1]/token", "", false, false},
		{"metadata", "https://r.example.com", "https://169.254.169.254/token", "", false, false},
		{"private, named by URL", "https://r.example.com", "https://10.0.0.1/token", "https://10.0.0.1/token", false, true},
		{"private, named by host", "https://r.example.com", "https://10.0.0.1/token", "10.0.0.1", false, true},
		{"another path than named", "https://r.example.com", "https://10.0.0.1/other", "https://10.0.0.1/token", false, false},
		{"http", "https://r.example.com", "http://auth.example.com/token", "", false, false},
		{"http on the own host of an https registry", "https://r.example.com", "http://r.example.com/token", "", false, false},
		{"http on the own host of a plain registry", "http://10.0.0.1:5000", "http://10.0.0.1:5001/t", "", true, true},
		{"http elsewhere", "http://10.0.0.1:5000", "http://auth.example.com/t", "", true, false},
		{"https elsewhere from a plain registry", "http://10.0.0.1:5000", "https://auth.example.com/t", "", true, true},
		{"user in it", "https://r.example.com", "https://a:b@auth.example.com/t", "", false, false},
		{"no host", "https://r.example.com", "https:///t", "", false, false},
		{"no scheme", "https://r.example.com", "/token", "", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root, _ := url.Parse(tt.registry)
			realm, _ := url.Parse(tt.realm)
			err := newGuard(root, Options{PlainHTTP: tt.plain, TokenRealm: tt.allowed}).sendCredential(realm)
			if (err == nil) != tt.want {
				t.Errorf("%s for %s: %v", tt.realm, tt.registry, err)
			}
		})
	}
}

// The realm is on a private address of another host: the password stays here.
func TestRealmElsewhereGetsNothing(t *testing.T) {
	thief := newSink(t, "127.0.0.2:0", ok)
	s := bearerServer(t, func(q *registrytest.Quirks) { q.Realm = thief.URL + "/token" })
	r := open(t, s, signedIn)
	_, err := r.Head(t.Context(), "app", "v1")
	if e := wantKind(t, err, providers.Denied); !strings.Contains(e.Hint, "tokenRealm") {
		t.Errorf("hint %q", e.Hint)
	}
	if len(thief.seen()) != 0 {
		t.Error("it was asked for a token")
	}
}

// A token service that passes us on is not followed: the password is for it alone.
func TestRealmThatRedirects(t *testing.T) {
	thief := newSink(t, "127.0.0.1:0", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"token":"x"}`) })
	realm := newSink(t, "127.0.0.1:0", func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, thief.URL, http.StatusTemporaryRedirect)
	})
	s := bearerServer(t, func(q *registrytest.Quirks) { q.Realm = realm.URL + "/token" })
	r := open(t, s, signedIn)
	if _, err := r.Head(t.Context(), "app", "v1"); err == nil {
		t.Error("signed in by a stranger")
	}
	if len(thief.seen()) != 0 {
		t.Error("the redirect was followed")
	}
}

func TestClientCertificateStaysHome(t *testing.T) {
	cert, key := keyPair(t)
	g := newGuard(&url.URL{Scheme: "https", Host: "r.example.com"}, Options{})
	own, other, err := transports(Options{TLS: TLS{CertFile: cert, KeyFile: key}}.withDefaults(), g)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(own.(*http.Transport).TLSClientConfig.Certificates); n != 1 {
		t.Errorf("%d certificates for the registry, want 1", n)
	}
	if n := len(other.(*http.Transport).TLSClientConfig.Certificates); n != 0 {
		t.Errorf("%d certificates for other hosts", n)
	}
}

// keyPair writes a certificate and its key.
func keyPair(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestPrivate(t *testing.T) {
	for _, ip := range []string{"10.1.2.3", "192.168.0.1", "172.16.0.1", "127.0.0.1", "::1", "169.254.1.1", "fe80::1", "fd00::1",
		"0.0.0.0", "0.1.2.3", "::", "100.64.0.1", "224.0.0.1", "64:ff9b::a00:1", "240.0.0.1", "255.255.255.255", "2002:a00:1::"} {
		if !private(netip.MustParseAddr(ip)) {
			t.Errorf("%s is public", ip)
		}
	}
	for _, ip := range []string{"8.8.8.8", "2606:4700::1111", "172.32.0.1", "100.128.0.1"} {
		if private(netip.MustParseAddr(ip)) {
			t.Errorf("%s is private", ip)
		}
	}
}
