package tokenfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/idp"
)

// TestIssuer: the file is read each time, and a token is held against the audience
// that the policy names.
func TestIssuer(t *testing.T) {
	cluster := idp.NewCluster(t)
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	i := Issuer{Path: path}
	for _, name := range []string{"one", "two"} {
		write(cluster.Token("mirror", name, "somebody", time.Hour) + "\n")
		a, err := i.Assertion(t.Context(), "anybody")
		if err != nil || a.Subject != idp.Subject("mirror", name) || a.Issuer != cluster.Issuer() || strings.HasSuffix(string(a.Token), "\n") {
			t.Errorf("%v, %v", a, err)
		}
		who, err := i.Whoami(t.Context())
		if err != nil || who.Name != a.Subject || who.From != "the token in "+path || who.Expires.IsZero() {
			t.Errorf("%v, %v", who, err)
		}
	}
	i.Audience = "somebody"
	if _, err := i.Assertion(t.Context(), "anybody"); err != nil {
		t.Error(err)
	}
	i.Audience = "another"
	if _, err := i.Assertion(t.Context(), "anybody"); providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "expected another; presented: issuer "+cluster.Issuer()) {
		t.Errorf("for another audience: %v", err)
	}
	for name, text := range map[string]string{"empty": " \n", "too large": strings.Repeat("a", maxToken+1), "no token": "a.b", "no claims": "a.!.c", "no JSON": "a.YQ.c"} {
		write(text)
		if _, err := i.Assertion(t.Context(), ""); providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), path) || providers.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUnreadable: a file that may not be read is told from one that is not there.
func TestUnreadable(t *testing.T) {
	if hint := unreadable(&fs.PathError{Err: fs.ErrPermission}); !strings.Contains(hint, "fsGroup") {
		t.Errorf("without permission: %s", hint)
	}
	_, err := Issuer{Path: filepath.Join(t.TempDir(), "gone")}.Whoami(t.Context())
	if providers.KindOf(err) != providers.Denied || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(providers.HintOf(err), "projected serviceAccountToken") {
		t.Errorf("without a file: %v; %s", err, providers.HintOf(err))
	}
}
