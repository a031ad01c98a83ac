package gartest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	artifactregistry "cloud.google.com/go/artifactregistry/apiv1"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/api/option"

	"github.com/transship/transship/providers/registrytest/content"
)

// withToken signs every request of a client.
type withToken string

func (t withToken) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+string(t))
	return http.DefaultTransport.RoundTrip(req)
}

// sdk is the real client of the Admin API, as an account.
func sdk(t *testing.T, s *Server, email string) *artifactregistry.Client {
	t.Helper()
	c, err := artifactregistry.NewRESTClient(t.Context(), option.WithEndpoint(s.Endpoint()),
		option.WithHTTPClient(&http.Client{Transport: withToken(s.IAM().Token(email, time.Hour))}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// failsWith wants an error of that HTTP status and reason.
func failsWith(t *testing.T, status int, reason string, err error) {
	t.Helper()
	api, ok := errors.AsType[*apierror.APIError](err)
	if !ok || api.HTTPCode() != status || api.Reason() != reason {
		t.Errorf("got %v, want %d %s", err, status, reason)
	}
}

// A wire sends plain requests to the registry, as docker does.
type wire struct {
	*testing.T
	s    *Server
	http *http.Client
	auth string
}

// newWire signs in as an account that may do everything.
func newWire(t *testing.T, s *Server) *wire {
	w := &wire{T: t, s: s, http: s.Client()}
	w.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(w.http.CloseIdleConnections)
	w.as(s.IAM().Account("docker"))
	return w
}

func (w *wire) as(email string) { w.auth = "Bearer " + w.s.IAM().Token(email, time.Hour) }

type answer struct {
	status int
	header http.Header
	body   string
}

func (w *wire) do(method, to string, body []byte, headers ...string) answer {
	w.Helper()
	if strings.HasPrefix(to, "/") {
		to = w.s.URL() + to
	}
	req, err := http.NewRequestWithContext(context.Background(), method, to, bytes.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if w.auth != "" {
		req.Header.Set("Authorization", w.auth)
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
	return answer{resp.StatusCode, resp.Header, string(read)}
}

// want wants a status and a text in the body.
func (w *wire) want(status int, text string, a answer) answer {
	w.Helper()
	if a.status != status || !strings.Contains(a.body, text) {
		w.Fatalf("answered %d %s, want %d with %q", a.status, a.body, status, text)
	}
	return a
}

func withDigest(location string, data []byte) string {
	sep := "?"
	if strings.Contains(location, "?") {
		sep = "&"
	}
	return location + sep + "digest=" + content.Hash(data).String()
}

// blobs uploads what a manifest names, in one request each.
func (w *wire) blobs(repo string, m *content.Manifest) {
	w.Helper()
	for _, b := range m.Blobs {
		data, err := io.ReadAll(io.NewSectionReader(b.Content, 0, b.Size))
		if err != nil {
			w.Fatal(err)
		}
		a := w.want(202, "", w.do("POST", "/v2/"+repo+"/blobs/uploads/", nil))
		w.want(201, "", w.do("PUT", withDigest(a.header.Get("Location"), data), data))
	}
}

func (w *wire) put(repo, ref string, m *content.Manifest) answer {
	w.Helper()
	return w.do("PUT", fmt.Sprintf("/v2/%s/manifests/%s", repo, ref), m.Raw, "Content-Type: "+string(m.MediaType))
}

func load(t *testing.T, s *Server, repo string, m *content.Manifest, tags ...string) {
	t.Helper()
	if err := s.Load(repo, m, tags...); err != nil {
		t.Fatal(err)
	}
}
