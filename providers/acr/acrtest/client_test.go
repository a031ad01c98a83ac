package acrtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/transship/transship/providers/registrytest/content"
)

// A wire sends plain requests to the registry, as docker does.
type wire struct {
	*testing.T
	s       *Server
	http    *http.Client
	refresh string
	token   string
}

// newWire signs in as an app that may do everything.
func newWire(t *testing.T, s *Server) *wire {
	app := s.Entra().App("docker")
	s.Assign(app.ClientID, AcrPush)
	s.Assign(app.ClientID, AcrDelete)
	s.Assign(app.ClientID, RepositoryContributor)
	s.Assign(app.ClientID, CatalogLister)
	return wireOf(t, s, app)
}

func wireOf(t *testing.T, s *Server, app App) *wire {
	t.Helper()
	w := &wire{T: t, s: s, http: s.Client()}
	w.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(w.http.CloseIdleConnections)
	aad, _ := s.Entra().Token(app.ClientID, RegistryAudience)
	w.refresh = w.field("refresh_token", w.want(200, "", w.exchange(aad)))
	return w
}

func (w *wire) field(name string, a answerOf) string {
	w.Helper()
	var doc map[string]string
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil || doc[name] == "" {
		w.Fatalf("%s has no %s (%v)", a.body, name, err)
	}
	return doc[name]
}

func (w *wire) exchange(aad string) answerOf {
	w.Helper()
	return w.form("/oauth2/exchange", url.Values{"grant_type": {"access_token"}, "service": {w.s.Host()}, "tenant": {Tenant}, "access_token": {aad}})
}

func (w *wire) form(path string, v url.Values) answerOf {
	w.Helper()
	return w.do("POST", path, []byte(v.Encode()), "Content-Type: application/x-www-form-urlencoded")
}

// may signs requests from now on with a token for these scopes.
func (w *wire) may(scopes ...string) {
	w.Helper()
	w.token = ""
	w.token = w.field("access_token", w.want(200, "", w.form("/oauth2/token", url.Values{"grant_type": {"refresh_token"},
		"service": {w.s.Host()}, "scope": scopes, "refresh_token": {w.refresh}})))
}

// all is every action with these repositories, and the catalog.
func (w *wire) all(repos ...string) *wire {
	w.Helper()
	scopes := []string{"registry:catalog:*"}
	for _, repo := range repos {
		scopes = append(scopes, "repository:"+repo+":pull,push,delete,metadata_read,metadata_write")
	}
	w.may(scopes...)
	return w
}

type answerOf struct {
	status int
	header http.Header
	body   string
}

func (w *wire) do(method, to string, body []byte, headers ...string) answerOf {
	w.Helper()
	if strings.HasPrefix(to, "/") {
		to = w.s.URL() + to
	}
	req, err := http.NewRequestWithContext(context.Background(), method, to, bytes.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if w.token != "" {
		req.Header.Set("Authorization", "Bearer "+w.token)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answerOf{resp.StatusCode, resp.Header, string(read)}
}

// want wants a status and a text in the body.
func (w *wire) want(status int, text string, a answerOf) answerOf {
	w.Helper()
	if a.status != status || !strings.Contains(a.body, text) {
		w.Fatalf("answered %d %s, want %d with %q", a.status, a.body, status, text)
	}
	return a
}

func (w *wire) upload(repo string, data []byte) answerOf {
	w.Helper()
	a := w.want(202, "", w.do("POST", "/v2/"+repo+"/blobs/uploads/", nil))
	return w.do("PUT", withDigest(a, data), data)
}

func withDigest(a answerOf, data []byte) string {
	return a.header.Get("Location") + "&digest=" + content.Hash(data).String()
}

// blobs uploads what a manifest names.
func (w *wire) blobs(repo string, m *content.Manifest) {
	w.Helper()
	for _, b := range m.Blobs {
		data, err := io.ReadAll(io.NewSectionReader(b.Content, 0, b.Size))
		if err != nil {
			w.Fatal(err)
		}
		w.want(201, "", w.upload(repo, data))
	}
}

func (w *wire) put(repo, ref string, m *content.Manifest) answerOf {
	w.Helper()
	return w.do("PUT", fmt.Sprintf("/v2/%s/manifests/%s", repo, ref), m.Raw, "Content-Type: "+string(m.MediaType))
}

func load(t *testing.T, s *Server, repo string, m *content.Manifest, tags ...string) {
	t.Helper()
	if err := s.Load(repo, m, tags...); err != nil {
		t.Fatal(err)
	}
}

// entraClient trusts an Entra.
func entraClient(t *testing.T, e *Entra) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(e.CA())
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}
