package ecrpublic

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/ecrpublic/ecrpublictest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestSignIn: by a user, a role and a chain of roles; the API is asked in us-east-1
// wherever the environment says that we are.
func TestSignIn(t *testing.T) {
	s := serve(t, ecrpublictest.Options{})
	iam := s.AWS().IAM()
	key := iam.User("sync")
	role := iam.Role("123456789012", "mirror", ecrtest.Trust{Principals: []string{"*"}})
	for name, tt := range map[string]struct {
		id        ecr.Identity
		who, from string
	}{
		"a user": {ecr.Identity{}, ":user/sync", "the environment"},
		"a role": {ecr.Identity{Roles: []ecr.Role{{ARN: role}}}, "assumed-role/mirror/transship", "auth.aws.roles"},
	} {
		t.Run(name, func(t *testing.T) {
			signedIn(t, key)
			t.Setenv("AWS_REGION", "eu-west-1")
			r := open(t, s, func(o *Options) { o.Identity = tt.id })
			who, err := r.Whoami(t.Context())
			if err != nil || !strings.HasSuffix(who.Name, tt.who) || who.From != tt.from {
				t.Errorf("%+v (%v)", who, err)
			}
			if _, err := r.Head(t.Context(), "acme/team/app", "v1"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOnePassword: one password serves all repositories, however many.
func TestOnePassword(t *testing.T) {
	s := serve(t, ecrpublictest.Options{})
	signedIn(t, s.AWS().IAM().User("sync"))
	r := open(t, s)
	for _, repo := range []string{"acme/team/app", "docker/library/alpine", "acme/team/app"} {
		if _, err := r.Head(t.Context(), repo, "v1"); err != nil {
			t.Error(err)
		}
	}
	if n := s.Calls()["GetAuthorizationToken"]; n != 1 {
		t.Errorf("%d passwords", n)
	}
}

// TestAnyoneReads: where AWS's chain finds nobody, or somebody who may not sign in
// here, a registry that is only read is read by nobody in particular, and says so; a
// target is not.
func TestAnyoneReads(t *testing.T) {
	s := serve(t, ecrpublictest.Options{})
	for name, sign := range map[string]func(){
		"nobody is found":    func() { clean(t) },
		"who is unknown":     func() { signedIn(t, ecrtest.Key{ID: "AKIAGONE", Secret: "x"}) },
		"who may not":        func() { signedIn(t, s.AWS().IAM().User("poor", "ecr-public:Describe*")) },
		"who lacks sts's":    func() { signedIn(t, s.AWS().IAM().User("less", "ecr-public:*")) },
		"who is of the past": func() { k := s.AWS().IAM().User("past"); s.AWS().IAM().Revoke(k.ID); signedIn(t, k) },
	} {
		t.Run(name, func(t *testing.T) {
			sign()
			r := open(t, s, reader)
			who, err := r.Whoami(t.Context())
			if err != nil || who.Name != providers.Anonymous || !strings.Contains(who.From, "anyone may read") {
				t.Errorf("%+v (%v)", who, err)
			}
			if m, err := r.Manifest(t.Context(), "docker/library/alpine", "v1"); err != nil || m.Digest.Hex == "" {
				t.Error(err)
			}
			_, err = open(t, s).Whoami(t.Context())
			if providers.KindOf(err) != providers.Denied || providers.HintOf(err) == "" {
				t.Errorf("as a target: %v", err)
			}
		})
	}
}

// TestGiven: a registry with a credential of its own, such as anonymous: true or an
// old password, asks AWS for nothing; a password that is over fails even what anyone
// may read.
func TestGiven(t *testing.T) {
	s := serve(t, ecrpublictest.Options{Quirks: func(q *ecrpublictest.Quirks) { q.TagsList = true }})
	signedIn(t, s.AWS().IAM().User("sync"))
	r := open(t, s, func(o *Options) { o.OCI.Authenticator = authn.Anonymous })
	if rows, err := trial.Collect(r.Rows(t.Context(), "acme/team/app")); err != nil || len(rows) != 1 || rows[0].Digest.Hex != "" {
		t.Errorf("%+v (%v)", rows, err)
	}
	if c, err := r.Caps(t.Context()); err != nil || c.BulkDigests || c.Catalog != providers.No {
		t.Errorf("%+v (%v)", c, err)
	}
	if err := r.Ensure(t.Context(), "acme/team/new"); err != nil {
		t.Error(err)
	}
	c, err := open(t, s).login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.ExpireTokens(true)
	s.AWS().ResetCalls()
	stale := open(t, s, func(o *Options) {
		o.OCI.Authenticator = authn.FromConfig(authn.AuthConfig{Username: c.Username, Password: c.Password})
	})
	_, err = stale.Head(t.Context(), "docker/library/alpine", "v1")
	wants(t, "a stale login", err, providers.Denied, "anonymous: true")
	if len(s.Calls()) != 0 {
		t.Errorf("AWS was asked: %v", s.Calls())
	}
}

// TestTokensEnd: bearers and the password behind them end in the middle of a copy.
func TestTokensEnd(t *testing.T) {
	s := serve(t, ecrpublictest.Options{})
	signedIn(t, s.AWS().IAM().User("sync"))
	r := open(t, s)
	m := content.Image("x", []content.Blob{content.Layer("l", 1000)})
	for i, b := range m.Blobs {
		s.ExpireTokens(i == 1)
		if _, err := r.Put(t.Context(), "acme/team/app", b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s.AWS().IAM().ExpireSessions()
	s.ExpireTokens(true)
	if _, err := r.PutManifest(t.Context(), "acme/team/app", "v9", m.Manifest, providers.PutOptions{}); err != nil {
		t.Error(err)
	}
}

// TestNothingLeaks: neither logs at any level nor errors hold the secret key, or what
// it is exchanged for (I7).
func TestNothingLeaks(t *testing.T) {
	s := serve(t, ecrpublictest.Options{})
	key := s.AWS().IAM().User("sync", "ecr-public:GetAuthorizationToken", "ecr-public:Describe*", "sts:GetServiceBearerToken")
	signedIn(t, key)
	var said bytes.Buffer
	r := open(t, s, func(o *Options) {
		o.OCI.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	c, err := r.login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, ask := range []func() error{
		func() error { return r.Ensure(t.Context(), "acme/team/new") },
		func() error { return r.TryPush(t.Context(), "acme/team/app") },
		func() error { _, err := trial.Collect(r.Rows(t.Context(), "docker/library/alpine")); return err },
	} {
		err := ask()
		if err == nil {
			t.Error("nothing failed: the test looks at nothing")
			continue
		}
		said.WriteString(err.Error())
	}
	for name, secret := range map[string]string{"secret key": key.Secret, "password": c.Password} {
		if strings.Contains(said.String(), secret) {
			t.Errorf("the %s is told", name)
		}
	}
}

// TestPermissions: to write takes more than to read.
func TestPermissions(t *testing.T) {
	clean(t)
	r, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	read, write := r.Permissions(false), r.Permissions(true)
	if r.Host() != Host || strings.Contains(read, "PutImage") || !strings.Contains(write, "ecr-public:PutImage") || !strings.Contains(write, "CreateRepository") {
		t.Errorf("%s: %s\n%s", r.Host(), read, write)
	}
	if _, err := New(Options{OCI: oci.Options{Host: "https://public.ecr.aws/x"}}); providers.KindOf(err) != providers.Invalid {
		t.Errorf("%v", err)
	}
}
