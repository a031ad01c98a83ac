package ghcrtest

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// do sends one request, and returns the status and the answer's text.
func do(t *testing.T, method, url string, body []byte, header ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), resp.Header
}

// TestRefusals holds what ghcr.io refuses that others take.
func TestRefusals(t *testing.T) {
	s := New(t, Options{Wire: func(q *registrytest.Quirks) { q.Mode = registrytest.Open }})
	m := content.Image("x", nil)
	if err := s.Load("acme/app", m, "v1"); err != nil {
		t.Fatal(err)
	}
	at := s.URL() + "/v2/acme/app"
	if code, _, _ := do(t, "DELETE", at+"/manifests/"+m.Digest.String(), nil); code != http.StatusMethodNotAllowed {
		t.Errorf("DELETE of a manifest: %d", code)
	}
	if code, text, _ := do(t, "GET", at+"/referrers/"+m.Digest.String(), nil); code != http.StatusNotFound {
		t.Errorf("referrers: %d %s", code, text)
	}
	if code, _, _ := do(t, "GET", s.URL()+"/v2/_catalog", nil); code != http.StatusNotFound {
		t.Errorf("catalog: %d", code)
	}
	code, _, h := do(t, "POST", at+"/blobs/uploads/", nil)
	if code != http.StatusAccepted {
		t.Fatalf("POST: %d", code)
	}
	big := make([]byte, 4<<20+1)
	code, text, _ := do(t, "PATCH", s.URL()+h.Get("Location"), big, "Content-Type", "application/octet-stream", "Content-Range", "0-4194304")
	if code != http.StatusRequestedRangeNotSatisfiable || !strings.Contains(text, "4.00MiB") {
		t.Errorf("a chunk above 4 MiB: %d %s", code, text)
	}
	if code, text, _ := do(t, "PATCH", s.URL()+h.Get("Location"), big, "Content-Type", "application/octet-stream"); code != http.StatusAccepted {
		t.Errorf("the same without Content-Range: %d %s", code, text)
	}
}

// TestPeople holds who is refused where.
func TestPeople(t *testing.T) {
	s := New(t, Options{})
	s.Organization("acme")
	if err := s.Load("acme/app/sub", content.Image("x", nil), "v1"); err != nil {
		t.Fatal(err)
	}
	classic := s.Classic("jo", "read:packages")
	bare := s.Add(Token{User: "li", Text: "ghp_li"})
	list := "http://" + s.API() + "/api/v3/orgs/acme/packages/container/app%2Fsub/versions"
	for token, want := range map[string]int{classic.Text: 200, bare.Text: 403, "ghp_unknown": 401, "": 401} {
		header := []string{}
		if token != "" {
			header = []string{"Authorization", "Bearer " + token}
		}
		if code, text, _ := do(t, "GET", list, nil, header...); code != want {
			t.Errorf("versions with %q: %d %s, want %d", token, code, text, want)
		}
	}
	if code, _, _ := do(t, "GET", strings.Replace(list, "/orgs/", "/users/", 1), nil, "Authorization", "Bearer "+classic.Text); code != 404 {
		t.Errorf("an organization asked for as a user: %d", code)
	}
	for token, want := range map[string]int{classic.Text: 200, "github_pat_1": 403, "ghs_app": 403, "ghp_unknown": 401} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", s.TokenURL()+"?scope=repository:acme/app:pull", nil)
		req.SetBasicAuth("jo", token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("a token for %s…: %d, want %d", token[:4], resp.StatusCode, want)
		}
	}
}
