package web

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// TestTokenIsShownToItsDaemon holds that a token goes to who proves to have it, and to
// nobody else: not to a server that knows no proof, that makes one up, that has another
// token, or that passes the challenge on to the daemon.
func TestTokenIsShownToItsDaemon(t *testing.T) {
	daemon := start(t, &desk{well: true})
	at, err := url.Parse(daemon)
	if err != nil {
		t.Fatal(err)
	}
	listen := func(h http.Handler) (server string, saw func() string) {
		shown := ""
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			shown += r.Header.Get("Authorization")
			h.ServeHTTP(w, r)
		}))
		t.Cleanup(s.Close)
		return s.URL, func() string { return shown }
	}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at) }}
	for name, h := range map[string]http.Handler{
		"no proof":  http.NotFoundHandler(),
		"made up":   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"proof":""}`) }),
		"no JSON":   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `<html>`) }),
		"passed on": pass,
	} {
		server, saw := listen(h)
		err := (&Client{Server: server, Token: token, Prove: true}).Run(t.Context(), "apps")
		if err == nil || name != "no JSON" && !errors.Is(err, ErrNotProved) {
			t.Errorf("%s: %v", name, err)
		}
		if got := saw(); got != "" {
			t.Errorf("%s was shown %q", name, got)
		}
	}
	other := start(t, &desk{well: true}, func(o *Options) { o.Token = strings.Repeat("another", 3) })
	if err := (&Client{Server: other, Token: token, Prove: true}).Run(t.Context(), "apps"); !errors.Is(err, ErrNotProved) {
		t.Errorf("another token: %v", err)
	}
	if err := (&Client{Server: daemon, Token: token, Prove: true}).Run(t.Context(), "apps"); err != nil {
		t.Errorf("the daemon: %v", err)
	}
}

// TestProofIsForThisMachine holds that nobody else is answered.
func TestProofIsForThisMachine(t *testing.T) {
	h := New(Options{Daemon: &desk{}, Token: token}).Handler()
	r := httptest.NewRequest("GET", "/api/v1/proof?challenge=0123456789abcdef", nil)
	r.RemoteAddr = "10.0.0.7:1234"
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != http.StatusNotFound {
		t.Errorf("another machine: %d %s", w.Code, w.Body)
	}
}
