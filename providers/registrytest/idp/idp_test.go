package idp

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestVerify: only what the issuer signed is taken, with both kinds of keys, and
// nothing that was changed, that another signed, or whose keys are gone.
func TestVerify(t *testing.T) {
	cluster, other := NewCluster(t), NewCluster(t)
	known := &Issuers{}
	known.Know(cluster.Issuer(), cluster.URL())
	good := cluster.Token("mirror", "transship", "somebody", time.Hour)
	c, err := known.Verify(good)
	if err != nil || c.Subject != "system:serviceaccount:mirror:transship" || !c.Audience.In("somebody") || c.Late(time.Now()) || c.Early(time.Now()) {
		t.Errorf("%+v, %v", c, err)
	}
	if !c.Late(time.Now().Add(2*time.Hour)) || !c.Early(time.Now().Add(-time.Hour)) {
		t.Errorf("its life is not kept: %+v", c)
	}
	if _, err := known.Verify(cluster.SignWith(ES256, map[string]any{"sub": "x"})); err != nil {
		t.Errorf("an elliptic key: %v", err)
	}
	parts := strings.Split(good, ".")
	forged := cluster.Token("mirror", "admin", "somebody", time.Hour)
	for name, tt := range map[string]struct {
		token string
		want  error
	}{
		"claims of another":   {parts[0] + "." + strings.Split(forged, ".")[1] + "." + parts[2], ErrSignature},
		"no signature":        {parts[0] + "." + parts[1] + ".", ErrSignature},
		"an unknown issuer":   {other.Token("mirror", "transship", "somebody", time.Hour), ErrIssuer},
		"another one's key":   {other.Sign(map[string]any{"iss": cluster.Issuer()}), ErrSignature},
		"no algorithm":        {part(map[string]string{"alg": "none"}) + "." + parts[1] + ".", ErrSignature},
		"no token":            {"opaque", ErrMalformed},
		"the other algorithm": {part(map[string]string{"alg": ES256, "kid": cluster.now().rid}) + "." + parts[1] + "." + parts[2], ErrSignature},
	} {
		if _, err := known.Verify(tt.token); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	cluster.Rotate()
	if _, err := known.Verify(good); !errors.Is(err, ErrSignature) {
		t.Errorf("after its key was replaced: %v", err)
	}
	cluster.Close()
	if _, err := known.Verify(good); !errors.Is(err, ErrKeys) {
		t.Errorf("from a cluster that is gone: %v", err)
	}
	known.Know(cluster.Issuer(), other.URL())
	if _, err := known.Verify(good); !errors.Is(err, ErrKeys) {
		t.Errorf("by another one's document: %v", err)
	}
}
