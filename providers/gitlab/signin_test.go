package gitlab

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/gitlab/gitlabtest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest/trial"
)

// rotated is a credential that changes, as one in a file does.
type rotated struct{ text atomic.Pointer[string] }

func (r *rotated) Authorization() (*authn.AuthConfig, error) {
	return &authn.AuthConfig{Username: "sync", Password: *r.text.Load()}, nil
}

// one is a docker configuration that knows one host.
type one struct {
	host string
	auth authn.Authenticator
}

func (o one) Resolve(at authn.Resource) (authn.Authenticator, error) {
	if at.RegistryStr() != o.host {
		return authn.Anonymous, nil
	}
	return o.auth, nil
}

// TestRotated: an access token that was replaced is read anew by GitLab's API, which
// is shown the registry's credential wherever that is from.
func TestRotated(t *testing.T) {
	s := serve(t, gitlabtest.Options{})
	text := s.Token("sync", all...)
	var r rotated
	r.text.Store(&text)
	for name, change := range map[string]func(*Options){
		"of the policy":        func(o *Options) { o.OCI.Authenticator = &r },
		"of docker's keychain": func(o *Options) { o.OCI.Keychain = one{s.Host(), &r} },
	} {
		t.Run(name, func(t *testing.T) {
			reg := open(t, s, change)
			if _, err := trial.Collect(reg.Repositories(t.Context(), "acme/")); err != nil {
				t.Fatal(err)
			}
			next := s.Token("sync", all...)
			r.text.Store(&next)
			if _, err := trial.Collect(reg.Repositories(t.Context(), "acme/")); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWhoami: the user of the credential, and who is refused is named.
func TestWhoami(t *testing.T) {
	s := serve(t, gitlabtest.Options{})
	who, err := open(t, s, as("sync", s.Token("sync", all...))).Whoami(t.Context())
	if err != nil || who.Name != "sync" || who.Expires.IsZero() {
		t.Errorf("%+v (%v)", who, err)
	}
	_, err = open(t, s, as("sync", "glpat-old")).Whoami(t.Context())
	if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "sync") {
		t.Errorf("%v", err)
	}
}

// TestNothingLeaks: neither logs nor errors hold the token, and GitLab's API has it
// only where the policy or the registry's name says where that is (I7).
func TestNothingLeaks(t *testing.T) {
	s := serve(t, gitlabtest.Options{})
	text := s.Token("sync", "read_registry")
	var said bytes.Buffer
	r := open(t, s, as("sync", text), func(o *Options) {
		o.OCI.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	for _, ask := range []func() error{
		func() error { _, err := trial.Collect(r.Repositories(t.Context(), "acme/")); return err },
		func() error { return r.TryPush(t.Context(), "acme/app/api") },
		func() error { _, err := trial.Collect(r.Rows(t.Context(), "acme/none")); return err },
	} {
		err := ask()
		if err == nil {
			t.Error("nothing failed: the test looks at nothing")
			continue
		}
		said.WriteString(err.Error())
	}
	if strings.Contains(said.String(), text) || !strings.Contains(said.String(), "acme/none") {
		t.Errorf("said: %s", said.String())
	}
}

// TestHosts: which GitLab a registry belongs to is told by few names.
func TestHosts(t *testing.T) {
	for host, want := range map[string]string{"registry.gitlab.com": "gitlab.com", "registry.gitlab.com:443": "gitlab.com",
		"gitlab.example.com:5050": "gitlab.example.com", "registry.example.com": "", "registry.gitlab.com.example.com": "", "gitlab.com": ""} {
		if got := apiOf(host); got != want {
			t.Errorf("%s: %q", host, got)
		}
	}
	if _, err := New(Options{OCI: oci.Options{Host: "https://registry.gitlab.com/v2"}}); providers.KindOf(err) != providers.Invalid {
		t.Errorf("%v", err)
	}
	if _, err := New(Options{OCI: oci.Options{Host: "registry.example.com"}, API: "https://gitlab.example.com"}); providers.KindOf(err) != providers.Invalid {
		t.Errorf("%v", err)
	}
}

// TestPermissions: to write takes more than to read.
func TestPermissions(t *testing.T) {
	s := serve(t, gitlabtest.Options{})
	r := open(t, s)
	if read, write := r.Permissions(false), r.Permissions(true); strings.Contains(read, "write_registry") || !strings.Contains(write, "write_registry") {
		t.Errorf("%s\n%s", read, write)
	}
}
