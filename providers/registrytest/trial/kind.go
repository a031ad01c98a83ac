package trial

import (
	"strings"
	"testing"

	"github.com/transship/transship/providers"
)

// WantKind wants err to be of a kind, and to say what to do.
func WantKind(t testing.TB, err error, kind providers.Kind, hint string) {
	t.Helper()
	if providers.KindOf(err) != kind || !strings.Contains(providers.HintOf(err), hint) {
		t.Errorf("%v (%s; try %q), want %s and a hint of %q", err, providers.KindOf(err), providers.HintOf(err), kind, hint)
	}
}
