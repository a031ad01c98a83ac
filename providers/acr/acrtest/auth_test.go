package acrtest

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest/content"
)

// TestChallenges: each request is told exactly what a token has to allow.
func TestChallenges(t *testing.T) {
	s := New(t, Options{})
	load(t, s, "team/app", content.Image("x", nil), "v1")
	w := newWire(t, s)
	for _, tt := range []struct{ method, path, scope string }{
		{"GET", "/v2/", ""},
		{"GET", "/v2/team/app/manifests/v1", "repository:team/app:pull"},
		{"POST", "/v2/team/app/blobs/uploads/", "repository:team/app:pull,push"},
		{"DELETE", "/v2/team/app/manifests/v1", "repository:team/app:delete"},
		{"GET", "/v2/team/app/tags/list", "repository:team/app:metadata_read"},
		{"GET", "/acr/v1/team%2Fapp/_tags", "repository:team/app:metadata_read"},
		{"GET", "/acr/v1/team/app/_manifests", "repository:team/app:metadata_read"},
		{"GET", "/acr/v1/team%2Fapp", "repository:team/app:metadata_read"},
		{"PATCH", "/acr/v1/team%2Fapp/_tags/v1", "repository:team/app:metadata_write"},
		{"GET", "/v2/_catalog", "registry:catalog:*"},
		{"GET", "/acr/v1/_catalog", "registry:catalog:*"},
	} {
		want := fmt.Sprintf(`Bearer realm="%s/oauth2/token",service="%s"`, s.URL(), s.Host())
		if tt.scope != "" {
			want += fmt.Sprintf(`,scope="%s"`, tt.scope)
		}
		w.token = ""
		a := w.want(401, `"UNAUTHORIZED"`, w.do(tt.method, tt.path, nil))
		if got := a.header.Get("Www-Authenticate"); got != want {
			t.Errorf("%s %s: challenged with %s, want %s", tt.method, tt.path, got, want)
		}
		w.token = "wrong"
		a = w.do(tt.method, tt.path, nil)
		if got := a.header.Get("Www-Authenticate"); got != want+`,error="invalid_token"` {
			t.Errorf("%s %s with a wrong token: challenged with %s", tt.method, tt.path, got)
		}
	}
	a := w.do("GET", "/v2/team/app/manifests/v1", nil)
	if !strings.Contains(a.body, `"detail":[{"Action":"pull","Name":"team/app","Type":"repository"}]`) {
		t.Errorf("detail of %s", a.body)
	}
}

// TestTokens: several scopes, by form and by Basic, as much of them as is allowed,
// for as long as they live.
func TestTokens(t *testing.T) {
	s := New(t, Options{})
	load(t, s, "app", content.Image("x", nil), "v1")
	app := s.Entra().App("reader")
	s.Assign(app.ClientID, AcrPull)
	w := wireOf(t, s, app)
	w.may("repository:app:pull,push", "repository:other:pull")
	var claims struct {
		Access []granted
		Exp    int64
	}
	if !readJWT(w.token, &claims) || fmt.Sprint(claims.Access) != "[{repository app [pull]} {repository other [pull]}]" {
		t.Errorf("granted %+v", claims)
	}
	if left := time.Until(time.Unix(claims.Exp, 0)); left < 74*time.Minute || left > 75*time.Minute {
		t.Errorf("it lives %v", left)
	}
	w.want(200, "", w.do("GET", "/v2/app/manifests/v1", nil, "Accept: */*"))
	s.ExpireTokens(false)
	w.want(401, "", w.do("GET", "/v2/app/manifests/v1", nil))
	w.may("repository:app:pull repository:other:pull") // or all in one parameter
	for user, password := range map[string]string{tokenUser: w.refresh, app.ClientID: app.Secret} {
		w.http.Transport.(interface{ CloseIdleConnections() }).CloseIdleConnections()
		u, err := url.Parse(s.URL() + "/oauth2/token?service=" + s.Host() + "&scope=repository:app:pull&scope=repository:other:pull")
		if err != nil {
			t.Fatal(err)
		}
		u.User, w.token = url.UserPassword(user, password), ""
		w.token = w.field("access_token", w.want(200, "", w.do("GET", u.String(), nil)))
		w.want(200, "", w.do("GET", "/v2/app/manifests/v1", nil, "Accept: */*"))
	}
	s.Configure(func(q *Quirks) { q.HeaderMost = 100 })
	w.want(400, "Too Large", w.do("GET", "/v2/app/manifests/v1", nil))
	s.ExpireTokens(true)
	w.want(401, "", w.form("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {w.refresh}}))
}

// TestExchange: only tokens of Entra for the registry's audience and tenant.
func TestExchange(t *testing.T) {
	s := New(t, Options{})
	app := s.Entra().App("sync")
	foreign := s.Entra().App("other", func(a *App) { a.Tenant = "99999999-2222-3333-4444-555555555555" })
	w := newWire(t, s)
	good, _ := s.Entra().Token(app.ClientID, RegistryAudience+"/.default")
	arm, _ := s.Entra().Token(app.ClientID, ARMAudience)
	other, _ := s.Entra().Token(foreign.ClientID, RegistryAudience)
	w.want(200, "refresh_token", w.exchange(good))
	w.want(401, "arm audience", w.exchange(arm))
	w.want(401, "tenant", w.exchange(other))
	w.want(401, "", w.exchange("nonsense"))
	s.Configure(func(q *Quirks) { q.ARMTokens = true })
	w.want(200, "", w.exchange(arm))
	s.Entra().ForgetTokens()
	w.want(401, "", w.exchange(good))
	if n := s.Calls()["exchange"]; n != 7 {
		t.Errorf("%d exchanges counted", n)
	}
}

// TestDirtyTokens: claims with - or _ by the knob, without by default.
func TestDirtyTokens(t *testing.T) {
	s := New(t, Options{})
	for _, dirty := range []bool{false, true} {
		s.Configure(func(q *Quirks) { q.DirtyTokens = dirty })
		w := newWire(t, s)
		if got := strings.ContainsAny(strings.Split(w.refresh, ".")[1], "-_"); got != dirty {
			t.Errorf("dirty is %v, want %v", got, dirty)
		}
	}
}
