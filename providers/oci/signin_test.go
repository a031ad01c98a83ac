package oci

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// A cloud is somebody who signs in to a server with passwords that it makes.
type cloud struct {
	s       *registrytest.Server
	fetched atomic.Int64
	err     error // instead of a credential
	wrong   bool  // give one that the server does not know
	life    time.Duration
}

// newCloud is at a server that knows the password which was given last.
func newCloud(t *testing.T) *cloud {
	return &cloud{life: time.Hour, s: server(t, func(q *registrytest.Quirks) {
		q.Mode, q.Users = registrytest.Basic, map[string]string{}
	})}
}

func (c *cloud) signIn(context.Context) (Credential, error) {
	n := c.fetched.Add(1)
	if c.err != nil {
		return Credential{}, c.err
	}
	password := fmt.Sprint("s3cret", n)
	if !c.wrong {
		c.s.Set(func(q *registrytest.Quirks) { q.Users = map[string]string{"AWS": password} })
	}
	return Credential{Username: "AWS", Password: password, Expires: time.Now().Add(c.life),
		Who: providers.Identity{Name: "arn:aws:iam::1:role/sync", From: "a test"}}, nil
}

func (c *cloud) open(t *testing.T) *Registry {
	return open(t, c.s, func(o *Options) { o.SignIn = c.signIn })
}

// expire makes the server forget the password.
func (c *cloud) expire() { c.s.Set(func(q *registrytest.Quirks) { q.Users = map[string]string{} }) }

func (c *cloud) wantFetched(t *testing.T, n int64) {
	t.Helper()
	if got := c.fetched.Load(); got != n {
		t.Errorf("signed in %d times, want %d", got, n)
	}
}

func TestSignInIsFetchedOnce(t *testing.T) {
	c := newCloud(t)
	load(t, c.s, "app", image("app"), "v1")
	r := c.open(t)
	for range 2 {
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	c.wantFetched(t, 1)
	if n := c.s.Counts().Status[401]; n != 1 {
		t.Errorf("%d answers 401, want the first ping's only", n)
	}
}

func TestSignInIsRenewed(t *testing.T) {
	t.Run("at half its life", func(t *testing.T) {
		c := newCloud(t)
		load(t, c.s, "app", image("app"), "v1")
		r := c.open(t)
		for range 2 {
			if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
				t.Fatal(err)
			}
			h := r.sign.keep.have
			if life := h.Expires.Sub(h.fetched); h.half.Sub(h.fetched) < life*4/10 || h.half.Sub(h.fetched) > life*6/10 {
				t.Errorf("life %v, renewed after %v", life, h.half.Sub(h.fetched))
			}
			h.half = time.Now() // as if the time had passed
		}
		c.wantFetched(t, 2)
	})
	// Every step of a copy goes on with another credential, without a new start.
	for _, class := range []registrytest.Class{registrytest.UploadPost, registrytest.UploadPut, registrytest.ManifestPut,
		registrytest.ManifestHead, registrytest.ManifestGet, registrytest.BlobHead, registrytest.BlobGet, registrytest.Tags} {
		t.Run("when it is over after "+string(class), func(t *testing.T) {
			c := newCloud(t)
			r := c.open(t)
			var once sync.Once
			c.s.Before(func(_ *http.Request, at registrytest.Class) *registrytest.Fault {
				if at == class {
					once.Do(c.expire)
				}
				return nil
			})
			m := image("app")
			if err := copyImage(t.Context(), r, "app", "v1", m); err != nil {
				t.Fatal(err)
			}
			wantReadable(t, r, m)
			c.wantFetched(t, 2)
			if n := c.s.Counts().Of(registrytest.UploadPost); n > 4 {
				t.Errorf("%d uploads begun for three blobs", n)
			}
		})
	}
	t.Run("told by 403", func(t *testing.T) { // as ECR may
		c := newCloud(t)
		r := c.open(t)
		if err := copyImage(t.Context(), r, "app", "v1", image("app")); err != nil {
			t.Fatal(err)
		}
		c.s.Next(1, registrytest.ManifestPut, registrytest.Fault{Status: 403, Code: "DENIED",
			Message: "Your authorization token has expired. Reauthenticate and try again."})
		if err := copyImage(t.Context(), r, "app", "v2", image("app")); err != nil {
			t.Error(err)
		}
		c.wantFetched(t, 2)
	})
	t.Run("told by 403 by the token service", func(t *testing.T) { // as ECR Public may
		c := newCloud(t)
		c.s.Set(func(q *registrytest.Quirks) { q.Mode = registrytest.Bearer })
		r := c.open(t)
		if err := copyImage(t.Context(), r, "app", "v1", image("app")); err != nil {
			t.Fatal(err)
		}
		c.s.ExpireTokens()
		c.s.Next(1, registrytest.Token, registrytest.Fault{Status: 403, Code: "DENIED",
			Message: "Your authorization token has expired. Reauthenticate and try again."})
		if err := copyImage(t.Context(), r, "app", "v2", image("app")); err != nil {
			t.Error(err)
		}
		c.wantFetched(t, 2)
	})
	t.Run("told by 403 to HEAD, which has no words", func(t *testing.T) {
		c := newCloud(t)
		load(t, c.s, "app", image("app"), "v1")
		r := c.open(t)
		var over atomic.Value
		over.Store("")
		c.s.Before(func(req *http.Request, _ registrytest.Class) *registrytest.Fault {
			_, password, given := req.BasicAuth()
			switch {
			case given && password == over.Load():
				return &registrytest.Fault{Status: 403, Code: "DENIED", Message: "Your authorization token has expired. Reauthenticate and try again."}
			case given && strings.Contains(req.URL.Path, "/secret/"):
				return &registrytest.Fault{Status: 403, Code: "DENIED", Message: "not you"}
			}
			return nil
		})
		for _, password := range []string{"", "s3cret1"} {
			over.Store(password)
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
		c.wantFetched(t, 2)
		for range 5 {
			if _, err := r.Head(t.Context(), "secret", "v1"); providers.KindOf(err) != providers.Denied {
				t.Errorf("what is denied for other reasons: %v", err)
			}
		}
		c.wantFetched(t, 2)
		over.Store("s3cret2")
		if _, err := r.Whoami(t.Context()); err != nil {
			t.Error(err)
		}
		c.wantFetched(t, 3)
	})
	t.Run("once for all", func(t *testing.T) {
		c := newCloud(t)
		load(t, c.s, "app", image("app"), "v1")
		r := c.open(t)
		for range 2 {
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			c.expire()
		}
		c.wantFetched(t, 2)
	})
	// Somebody has taken the credential that others find to be over and renew.
	t.Run("between its being taken and shown", func(t *testing.T) {
		c := newCloud(t)
		load(t, c.s, "app", image("app"), "v1")
		r := c.open(t)
		ask := func() {
			t.Helper()
			if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
				t.Error(err)
			}
		}
		ask()
		old, err := r.sign.credential(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.expire()
		ask()
		if _, err := r.sign.direct(t.Context(), old, basicHeader(&old.config)); err != nil {
			t.Errorf("who was about to show the old one: %v", err)
		}
		ask()
		c.wantFetched(t, 2)
	})
}

func wantReadable(t *testing.T, r *Registry, m *content.Manifest) {
	t.Helper()
	tagsOf(t, r, "app")
	if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
		t.Error(err)
	}
	if _, err := r.Manifest(t.Context(), "app", "v1"); err != nil {
		t.Error(err)
	}
	for _, b := range m.Blobs {
		if _, err := r.Stat(t.Context(), "app", b.Digest); err != nil {
			t.Error(err)
		}
		if _, err := readBlob(t.Context(), r, "app", b.Descriptor, 0); err != nil {
			t.Error(err)
		}
	}
}

// An identity that is refused costs a few requests, whatever is asked for, and
// every error says whom the host refused.
func TestRefusedIdentityStopsTheRegistry(t *testing.T) {
	denied := &providers.Error{Kind: providers.Denied, Op: "assume role", Ref: "sts", Hint: "grant sts:AssumeRole",
		Err: errors.New("arn:aws:iam::1:role/sync: AccessDenied")}
	for _, tt := range []struct {
		name     string
		change   func(*cloud)
		fetches  int64
		requests int64 // with a credential
	}{
		{"by the cloud", func(c *cloud) { c.err = denied }, 1, 0},
		{"by the registry", func(c *cloud) { c.wrong = true }, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCloud(t)
			tt.change(c)
			r := c.open(t)
			askMuch(t, r, "arn:aws:iam::1:role/sync")
			c.wantFetched(t, tt.fetches)
			if n := signedRequests(c.s); n != tt.requests {
				t.Errorf("%d requests with a credential that is refused, want %d", n, tt.requests)
			}
			c.err, c.wrong = nil, false
			r.sign.stop.until = time.Now() // as if the minute had passed
			if r.sign.keep.have != nil {
				r.sign.keep.have.half = time.Now()
			}
			load(t, c.s, "app", image("app"), "v1")
			if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
				t.Errorf("after the identity was mended: %v", err)
			}
		})
	}
}

// askMuch wants many questions to be Denied in the name of who.
func askMuch(t *testing.T, r *Registry, who string) {
	t.Helper()
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			_, err := r.Head(t.Context(), fmt.Sprint("app", i%10), "v1")
			e, ok := errors.AsType[*providers.Error](err)
			if !ok || e.Kind != providers.Denied || !strings.Contains(err.Error(), who) || e.Hint == "" {
				t.Errorf("error %v, hint %q; want one that names %s", err, providers.HintOf(err), who)
			}
		})
	}
	all.Wait()
}

func signedRequests(s *registrytest.Server) (n int64) {
	for _, one := range s.Log() {
		if one.Authorization != "" {
			n++
		}
	}
	return n
}

// A password that is wrong is shown once, not for every repository; a right one in
// its place is taken at once.
func TestWrongPasswordStopsTheRegistry(t *testing.T) {
	for _, mode := range []registrytest.Mode{registrytest.Basic, registrytest.Bearer} {
		t.Run(string(mode), func(t *testing.T) {
			s := server(t, func(q *registrytest.Quirks) { q.Mode, q.Users = mode, map[string]string{"sync": "secret"} })
			who := &authn.Basic{Username: "sync", Password: "wrong-s3cret"}
			r := open(t, s, func(o *Options) { o.Authenticator = who })
			askMuch(t, r, "as sync (auth in the policy)")
			if n := signedRequests(s); n > 2 { // for a scope, and to be sure for none
				t.Errorf("%d requests with a password that is refused", n)
			}
			who.Password = "secret"
			load(t, s, "app", image("app"), "v1")
			if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
				t.Errorf("with the right password: %v", err)
			}
		})
	}
}

// A host that says 401 where it means "not this repository" stops nothing.
func TestRefusedRepositoryStopsNothing(t *testing.T) {
	for _, mode := range []registrytest.Mode{registrytest.Basic, registrytest.Bearer} {
		t.Run(string(mode), func(t *testing.T) {
			s := server(t, func(q *registrytest.Quirks) { q.Mode, q.Users = mode, map[string]string{"sync": "secret"} })
			load(t, s, "mine", image("app"), "v1")
			s.Before(func(req *http.Request, c registrytest.Class) *registrytest.Fault {
				if strings.Contains(req.URL.String(), "theirs") && req.Header.Get("Authorization") != "" {
					return &registrytest.Fault{Status: 401, Code: "UNAUTHORIZED", Message: "not yours"}
				}
				return nil
			})
			r := open(t, s, signedIn)
			for range 5 {
				_, err := r.Head(t.Context(), "theirs", "v1")
				wantKind(t, err, providers.Denied)
				if _, err := r.Head(t.Context(), "mine", "v1"); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// While the cloud's sign-in is away the credential at hand is used, and the cloud
// is not asked for every request.
func TestCredentialWhileTheCloudIsAway(t *testing.T) {
	c := newCloud(t)
	load(t, c.s, "app", image("app"), "v1")
	r := c.open(t)
	if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
		t.Fatal(err)
	}
	c.err = &providers.Error{Kind: providers.Unavailable, Op: "fetch credentials", Ref: "sts", Err: errors.New("timeout")}
	r.sign.keep.have.half = time.Now()
	for range 5 {
		if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
			t.Error(err)
		}
	}
	c.wantFetched(t, 2)
	r.sign.keep.have.half, r.sign.keep.have.Expires = time.Now(), time.Now()
	for range 5 {
		_, err := r.Head(t.Context(), "app", "v1")
		wantKind(t, err, providers.Unavailable)
	}
	c.wantFetched(t, 3)
}

// An ACR refresh token that is over is renewed by the one who signs in, and the
// access token is asked for again.
func TestIdentityTokenIsRenewed(t *testing.T) {
	s := bearerServer(t, nil)
	load(t, s, "app", image("app"), "v1")
	var fetched atomic.Int64
	r := open(t, s, func(o *Options) {
		o.SignIn = func(context.Context) (Credential, error) {
			refresh := fmt.Sprint("refresh", fetched.Add(1))
			s.Set(func(q *registrytest.Quirks) { q.Identities = map[string]string{refresh: "sync"} })
			return Credential{IdentityToken: refresh, Expires: time.Now().Add(time.Hour)}, nil
		}
	})
	for range 2 {
		if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
			t.Fatal(err)
		}
		s.Set(func(q *registrytest.Quirks) { q.Identities = nil })
		s.ExpireTokens()
	}
	if fetched.Load() != 2 || tokensAsked(s) != 3 {
		t.Errorf("signed in %d times, %d token requests; want 2 and 3", fetched.Load(), tokensAsked(s))
	}
}

// An access token goes to the registry itself, as Artifact Registry takes it.
func TestRegistryTokenNeedsNoTokenService(t *testing.T) {
	s := bearerServer(t, nil)
	load(t, s, "app", image("app"), "v1")
	var fetched atomic.Int64
	r := open(t, s, func(o *Options) {
		o.SignIn = func(ctx context.Context) (Credential, error) {
			fetched.Add(1)
			return Credential{RegistryToken: mint(t, s), Expires: time.Now().Add(time.Hour)}, nil
		}
	})
	for i := range int64(2) {
		for range 3 {
			if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
				t.Fatal(err)
			}
		}
		if fetched.Load() != i+1 || tokensAsked(s) != i+1 { // those that mint asked for
			t.Errorf("signed in %d times, %d token requests; want %d", fetched.Load(), tokensAsked(s), i+1)
		}
		s.ExpireTokens()
	}
}

// mint has the server's token service make a token.
func mint(t *testing.T, s *registrytest.Server) string {
	t.Helper()
	u, err := url.Parse(s.TokenURL() + "?scope=repository:app:pull,push")
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("sync", "secret")
	resp, err := http.Get(u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct{ Token string }
	raw, _ := io.ReadAll(resp.Body)
	if err := json.Unmarshal(raw, &doc); err != nil || doc.Token == "" {
		t.Fatal(err, string(raw))
	}
	return doc.Token
}

func TestCredentialsDoNotPrint(t *testing.T) {
	c := Credential{Username: "u", Password: "s3cret", IdentityToken: "s3cret", RegistryToken: "s3cret"}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "c", c, "p", &c)
	raw, err := json.Marshal(map[string]any{"c": c, "p": &c})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{log.String(), string(raw), fmt.Sprintf("%v %+v %#v %s %q %x", c, c, c, c, c, c),
		fmt.Sprintf("%v %+v %#v", &c, []Credential{c}, struct{ C Credential }{c}), fmt.Sprint(&held{Credential: c})} {
		if strings.Contains(text, "s3cret") || strings.Contains(text, fmt.Sprintf("%x", "s3cret")) {
			t.Errorf("it prints as %s", text)
		}
	}
}

// What an ACR token says of its life, since its token service says nothing.
func TestClaimedLife(t *testing.T) {
	jwt := func(claims string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".x"
	}
	for _, tt := range []struct {
		claims string
		want   time.Duration
	}{
		{`{"iat":1000,"exp":5500}`, 75 * time.Minute},
		{`{"nbf":1000,"exp":1060}`, time.Minute},
		{`{"exp":5500}`, 0},
		{`{"iat":5500,"exp":1000}`, 0},
		{`{"iat":0,"exp":1e18}`, maxLife},
		{`{"iat":"x"}`, 0},
		{`{}`, 0},
	} {
		if got := claimedLife(jwt(tt.claims)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.claims, got, tt.want)
		}
	}
}

// A cloud says what its own words mean, of its registry and of nobody else.
func TestExplain(t *testing.T) {
	s := server(t, nil)
	var seen []Refusal
	r := open(t, s, func(o *Options) {
		o.Explain = func(f Refusal) (providers.Kind, string, bool) {
			seen = append(seen, f)
			return providers.Quota, "ask for more", f.Code == "ODD"
		}
	})
	s.Next(1, registrytest.Tags, registrytest.Fault{Status: 403, Code: "ODD", Message: "too many"})
	s.Next(1, registrytest.ManifestHead, registrytest.Fault{Status: 403, Code: "DENIED"})
	for _, err := range r.Rows(t.Context(), "app") {
		if e := wantKind(t, err, providers.Quota); e.Hint != "ask for more" {
			t.Errorf("hint %q", e.Hint)
		}
	}
	_, err := r.Head(t.Context(), "app", "v1")
	wantKind(t, err, providers.Denied)
	if len(seen) != 2 || seen[0] != (Refusal{Op: "list tags", Repo: "app", Status: 403, Code: "ODD", Message: "too many"}) {
		t.Errorf("explained %+v", seen)
	}
}
