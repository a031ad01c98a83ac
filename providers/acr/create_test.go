package acr

import (
	"strings"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr/acrtest"
)

// TestEnsure: nothing is asked, unless repositories are not to be made; then one
// that is there is looked for once.
func TestEnsure(t *testing.T) {
	s := serve(t, acrtest.Options{})
	a := app(s)
	if err := open(t, s, a).Ensure(t.Context(), "new"); err != nil || s.Counts().Total() != 0 {
		t.Errorf("%v, %d requests", err, s.Counts().Total())
	}
	r := open(t, s, a, func(o *Options) { o.Create.Never = true })
	for range 3 {
		if err := r.Ensure(t.Context(), "team/app"); err != nil {
			t.Error(err)
		}
	}
	if n := s.Calls()["repository"]; n != 1 {
		t.Errorf("it was looked for %d times", n)
	}
	err := r.Ensure(t.Context(), "new")
	if providers.KindOf(err) != providers.NotFound || !strings.Contains(providers.HintOf(err), "create.never") {
		t.Errorf("%v; %s", err, providers.HintOf(err))
	}
}
