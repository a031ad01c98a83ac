package oci

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

func bearerServer(t *testing.T, change func(*registrytest.Quirks)) *registrytest.Server {
	return server(t, func(q *registrytest.Quirks) {
		q.Mode, q.Users = registrytest.Bearer, map[string]string{"sync": "secret"}
		if change != nil {
			change(q)
		}
	})
}

func signedIn(o *Options) { o.Authenticator = &authn.Basic{Username: "sync", Password: "secret"} }

func tokensAsked(s *registrytest.Server) int64 { return s.Counts().Requests[registrytest.Token] }

func TestManyWaitForOneToken(t *testing.T) {
	s := bearerServer(t, nil)
	load(t, s, "app", image("app"), "v1")
	r := open(t, s, signedIn)
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := tokensAsked(s); n != 1 {
		t.Errorf("%d tokens for thirty requests, want 1", n)
	}
	if n := s.Counts().Requests[registrytest.Ping]; n != 1 {
		t.Errorf("%d pings, want 1", n)
	}
}

// One that stops waiting does not take the token from the others.
func TestWaitersHaveTheirOwnContext(t *testing.T) {
	s := bearerServer(t, nil)
	load(t, s, "app", image("app"), "v1")
	r := open(t, s, signedIn)
	arrived, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.Before(func(_ *http.Request, c registrytest.Class) *registrytest.Fault {
		if c == registrytest.Token {
			once.Do(func() { close(arrived) })
			<-release
		}
		return nil
	})
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	failed, fine := make(chan error, 1), make(chan error, 1)
	go func() { _, err := r.Head(ctx, "app", "v1"); failed <- err }()
	<-arrived
	go func() { _, err := r.Head(t.Context(), "app", "v1"); fine <- err }()
	for joined := false; !joined; time.Sleep(time.Millisecond) { // the second waits for the same token
		r.sign.tokens.fetches.mu.Lock()
		for _, f := range r.sign.tokens.fetches.running {
			joined = f.waiting == 2
		}
		r.sign.tokens.fetches.mu.Unlock()
	}
	cancel(stop)
	if err := <-failed; err != stop {
		t.Errorf("error %v, want the cause", err)
	}
	close(release)
	if err := <-fine; err != nil {
		t.Error(err)
	}
	if n := tokensAsked(s); n != 1 {
		t.Errorf("%d tokens, want 1", n)
	}
}

func TestTokenIsRenewed(t *testing.T) {
	t.Run("after a 401, once for all", func(t *testing.T) {
		s := bearerServer(t, nil)
		load(t, s, "app", image("app"), "v1")
		r := open(t, s, signedIn)
		for range 2 {
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					if _, err := r.Manifest(t.Context(), "app", "v1"); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			s.ExpireTokens()
		}
		if n := tokensAsked(s); n != 2 {
			t.Errorf("%d tokens for two lives, want 2", n)
		}
	})
	t.Run("at half its life", func(t *testing.T) {
		s := bearerServer(t, func(q *registrytest.Quirks) { q.TokenLife = 2 * time.Second })
		load(t, s, "app", image("app"), "v1")
		r := open(t, s, signedIn)
		for range 2 {
			if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
				t.Fatal(err)
			}
			b := r.sign.tokens.find(pull("app"), func(*bearer) bool { return true })
			if life := b.expires.Sub(b.fetched); life != 2*time.Second || b.half.Sub(b.fetched) != life/2 {
				t.Errorf("life %v, half %v", life, b.half.Sub(b.fetched))
			}
			b.half = time.Now() // as if the time had passed
		}
		if n := tokensAsked(s); n != 2 {
			t.Errorf("%d tokens, want 2", n)
		}
		if n := s.Counts().Status[401]; n != 1 {
			t.Errorf("%d answers 401, want the ping's only", n)
		}
	})
}

func TestOldTokenWhileTheServiceIsAway(t *testing.T) {
	s := bearerServer(t, nil)
	load(t, s, "app", image("app"), "v1")
	r := open(t, s, signedIn)
	if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
		t.Fatal(err)
	}
	r.sign.tokens.find(pull("app"), func(*bearer) bool { return true }).half = time.Now()
	s.Next(100, registrytest.Token, registrytest.Unavailable(""))
	if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
		t.Error(err)
	}
}

func TestOneTokenARepositoryAtATarget(t *testing.T) {
	s := bearerServer(t, nil)
	r := open(t, s, signedIn, func(o *Options) { o.Push = true })
	lib, app := image("lib"), image("app")
	if err := copyImage(t.Context(), r, "lib", "v1", lib); err != nil {
		t.Fatal(err)
	}
	r.Head(t.Context(), "app", "v1") // the survey comes first
	for _, b := range lib.Blobs {
		if mounted, _, err := r.Mount(t.Context(), "app", "lib", b.Digest); !mounted || err != nil {
			t.Fatal(mounted, err)
		}
	}
	if err := copyImage(t.Context(), r, "app", "v1", app); err != nil {
		t.Fatal(err)
	}
	for _, repo := range []string{"app2", "app3", "app4"} { // lib is known to be mounted from
		r.Head(t.Context(), repo, "v1")
		if mounted, _, err := r.Mount(t.Context(), repo, "lib", lib.Blobs[0].Digest); !mounted || err != nil {
			t.Fatal(mounted, err)
		}
		if err := copyImage(t.Context(), r, repo, "v1", app); err != nil {
			t.Fatal(err)
		}
	}
	// lib, app, app with lib, and one for each of the others
	if n := tokensAsked(s); n != 6 {
		t.Errorf("%d tokens for five repositories, want 6", n)
	}
}

// A service that grants one scope, or refuses a lot, is asked for less.
func TestServiceThatGivesLess(t *testing.T) {
	for name, change := range map[string]func(*registrytest.Quirks){
		"one scope": func(q *registrytest.Quirks) { q.OneScope = true },
		"pull only": func(q *registrytest.Quirks) {
			q.Grants = map[string][]registrytest.Grant{"sync": {{Repositories: "**", Actions: []string{"pull"}}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := bearerServer(t, change)
			m := image("app")
			load(t, s, "lib", m, "v1")
			r := open(t, s, signedIn, func(o *Options) { o.Push = true })
			if _, err := r.Manifest(t.Context(), "lib", "v1"); err != nil {
				t.Errorf("reading, where only that is allowed: %v", err)
			}
			mounted, _, err := r.Mount(t.Context(), "app", "lib", m.Blobs[0].Digest)
			if mounted || err != nil {
				t.Errorf("mount: %v, %v; want a refusal", mounted, err)
			}
			_, err = r.Put(t.Context(), "app", m.Blobs[0].Descriptor, m.Blobs[0].Content, providers.UploadOptions{})
			if name == "one scope" && err != nil {
				t.Error(err)
			}
			if name == "pull only" {
				if e := wantKind(t, err, providers.Denied); e.Hint == "" {
					t.Error("no hint")
				}
			}
		})
	}
}

func TestIdentityTokenIsPosted(t *testing.T) {
	s := bearerServer(t, func(q *registrytest.Quirks) { q.Identities = map[string]string{"identity": "sync"} })
	load(t, s, "app", image("app"), "v1")
	r := open(t, s, func(o *Options) {
		o.Authenticator = authn.FromConfig(authn.AuthConfig{Username: "<token>", IdentityToken: "identity"})
	})
	if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
		t.Fatal(err)
	}
	for _, one := range s.Log() {
		if one.Class == registrytest.Token && (one.Method != http.MethodPost || one.Authorization != "") {
			t.Errorf("token request %s", one)
		}
	}
}

func TestRefusedIdentity(t *testing.T) {
	for _, mode := range []registrytest.Mode{registrytest.Basic, registrytest.Bearer} {
		for name, auth := range map[string]authn.Authenticator{
			"wrong password": &authn.Basic{Username: "sync", Password: "wrong-s3cret"},
			"nobody":         authn.Anonymous,
			"identity":       authn.FromConfig(authn.AuthConfig{IdentityToken: "wrong-s3cret"}),
		} {
			t.Run(string(mode)+" "+name, func(t *testing.T) {
				s := server(t, func(q *registrytest.Quirks) { q.Mode, q.Users = mode, map[string]string{"sync": "secret"} })
				r := open(t, s, func(o *Options) { o.Authenticator = auth })
				_, err := r.Head(t.Context(), "app", "v1")
				e := wantKind(t, err, providers.Denied)
				if e.Hint == "" || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("error %v, hint %q", err, e.Hint)
				}
				// Tokens that say nothing of themselves are renewed once.
				if n := s.Counts().Of(registrytest.Token, registrytest.ManifestHead); n > 4 {
					t.Errorf("%d requests with a credential that is refused", n)
				}
			})
		}
	}
}

func TestAnonymousRead(t *testing.T) {
	s := bearerServer(t, func(q *registrytest.Quirks) { q.AnonymousPull = true })
	load(t, s, "app", image("app"), "v1")
	r := open(t, s)
	if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
		t.Fatal(err)
	}
	m := image("other")
	_, err := r.Put(t.Context(), "app", m.Blobs[0].Descriptor, m.Blobs[0].Content, providers.UploadOptions{})
	wantKind(t, err, providers.Denied)
}

// A registry that lets pings in and challenges later.
func TestChallengeAfterThePing(t *testing.T) {
	var signed atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/v2/" {
			return
		}
		if _, password, ok := req.BasicAuth(); !ok || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="late"`)
			w.WriteHeader(401)
			return
		}
		signed.Add(1)
		w.Write([]byte(`{"tags":["v1"]}`))
	}))
	defer s.Close()
	r := openAt(t, s.URL, signedIn)
	for range 2 {
		if got := tagsOf(t, r, "app"); !slices.Equal(got, []string{"v1"}) {
			t.Errorf("tags %v", got)
		}
	}
	if signed.Load() != 2 {
		t.Errorf("%d signed requests", signed.Load())
	}
}

func openAt(t *testing.T, url string, change ...func(*Options)) *Registry {
	t.Helper()
	scheme, host, _ := strings.Cut(url, "://")
	o := Options{Host: host, PlainHTTP: scheme == "http", Retry: Retry{Tries: 2, Min: time.Millisecond, Max: time.Millisecond}}
	for _, f := range change {
		f(&o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestScopes(t *testing.T) {
	s := push("team/app").with(pull("lib")).with(pull("team/app"))
	if got, want := s.key(), "repository:lib:pull repository:team/app:pull,push"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !s.covers(pull("lib")) || s.covers(push("lib")) || !s.covers(nil) {
		t.Error("covers")
	}
	if got := parseScopes(s.key() + " nonsense repository:x: :pull"); got.key() != s.key() {
		t.Errorf("parsed as %s", got.key())
	}
}

func TestGrants(t *testing.T) {
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"access":[{"type":"repository","name":"a","actions":["pull"]}]}`))
	got := grants("x." + claims + ".y")
	if !got.covers(pull("a")) || got.covers(push("a")) {
		t.Errorf("grants %v", got)
	}
	for _, opaque := range []string{"", "abc", "a.b.c", "a.!.c"} {
		if grants(opaque) != nil {
			t.Errorf("%q has grants", opaque)
		}
	}
}

func TestParseChallenges(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a:pull,push"`,
			"bearer https://auth.example.com/token registry repository:a:pull,push"},
		{`Bearer realm="https://a/t", service="s"`, "bearer https://a/t s "},
		{`bearer realm=https://a/t,service=s`, "bearer https://a/t s "},
		{`Basic realm="x", Bearer realm="https://a/t\"q"`, `bearer https://a/t"q  `},
		{`Negotiate, Basic realm="x"`, "basic x  "},
		{`BASIC`, "basic   "},
	} {
		got, ok := findChallenge(http.Header{"Www-Authenticate": {tt.in}})
		if text := strings.Join([]string{got.scheme, got.params["realm"], got.params["service"], got.params["scope"]}, " "); !ok || text != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.in, text, tt.want)
		}
	}
	if _, ok := findChallenge(http.Header{"Www-Authenticate": {"Negotiate abc=="}}); ok {
		t.Error("found a challenge that cannot be met")
	}
}

func FuzzParseChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://a/t", service="s"`)
	f.Add(`Basic realm="x\", Bearer a=b,,`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range parseChallenges(s) {
			if c.scheme == "" || c.scheme != strings.ToLower(c.scheme) {
				t.Errorf("%q: scheme %q", s, c.scheme)
			}
		}
		parseScopes(s)
	})
}

func FuzzParseToken(f *testing.F) {
	f.Add([]byte(`{"token":"abc","expires_in":300}`))
	f.Add([]byte(`{"access_token":"abc","expires_in":"1e9"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := parseToken(raw, pull("a"), time.Now())
		if err != nil {
			return
		}
		if b.value == "" || strings.ContainsAny(b.value, "\r\n ") || b.half.After(b.expires) || b.expires.Before(b.fetched) {
			t.Errorf("%s: %+v", raw, b)
		}
	})
}
