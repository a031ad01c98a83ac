package gar

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/registrytest/trial"
)

// stderr catches what is printed, as Google's libraries do, until it is asked for.
func stderr(t *testing.T) func() string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = f
	t.Cleanup(func() { os.Stderr = before })
	return func() string {
		os.Stderr = before
		raw, err := os.ReadFile(f.Name())
		if err != nil || f.Close() != nil {
			t.Error("nothing was caught", err)
		}
		return string(raw)
	}
}

// TestNothingLeaks: neither logs at any level nor errors hold a key, an assertion or
// a token (I7), whatever Google's libraries are told to log.
func TestNothingLeaks(t *testing.T) {
	s := serve(t, gartest.Options{})
	base, last := s.IAM().Account("base"), s.IAM().Account("last")
	s.IAM().Trust(last, base)
	file := signedIn(t, s, base)
	t.Setenv("GOOGLE_SDK_GO_LOGGING_LEVEL", "debug")
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	printed, before := stderr(t), slog.Default()
	slog.SetDefault(log)
	defer slog.SetDefault(before)
	r := open(t, s, func(o *Options) { o.Identity.Impersonate, o.OCI.Logger = []string{last}, log })
	works(t, r, last, base)
	c, err := r.signIn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.source.base(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Configure(func(q *gartest.Quirks) { q.PlainTags = true })
	if _, err := trial.Collect(r.Rows(t.Context(), app)); err != nil {
		t.Fatal(err)
	}
	s.RevokeKey(file)
	s.IAM().ExpireTokens()
	_, err = trial.Collect(r.Repositories(t.Context(), "acme/"))
	said.WriteString(err.Error())
	_, err = r.Head(t.Context(), app, "v1")
	said.WriteString(err.Error())
	said.WriteString(printed())
	for name, secret := range map[string]string{"key": "PRIVATE KEY", "token": c.RegistryToken, "token before": b.token.Value, "assertion": "assertion=", "header": "Bearer ya29"} {
		if strings.Contains(said.String(), secret) {
			t.Errorf("the %s is told", name)
		}
	}
	if !strings.Contains(said.String(), "invalid_grant") {
		t.Errorf("the test looked at nothing: %s", said.String())
	}
}
