package providers

import "testing"

// Where an ability was learned follows who said it, and a Caps that was handed
// out does not change.
func TestCapsSource(t *testing.T) {
	plain := Caps{Mount: Yes, Immutable: No, Learned: map[string]Source{CapMount: Account}}
	learned := plain.With(map[string]Tri{CapReferrers: No, CapMount: No})
	stated := learned.Override(map[string]Tri{CapMount: No, CapChunks: Maybe}).From(Account, CapSizes)
	for _, tt := range []struct {
		caps Caps
		name string
		want Source
	}{
		{plain, CapMount, Account},
		{plain, CapReferrers, Guessed},
		{plain, CapImmutable, Documented},
		{plain, CapNames, Documented},
		{learned, CapMount, Account},
		{learned, CapReferrers, Tried},
		{stated, CapMount, Stated},
		{stated, CapReferrers, Tried},
		{stated, CapChunks, Guessed},
		{stated, CapSizes, Account},
		{Caps{}, CapImmutable, Guessed},
	} {
		if got := tt.caps.Source(tt.name); got != tt.want {
			t.Errorf("%s was learned from %q, want %q", tt.name, got, tt.want)
		}
	}
	if len(plain.Learned) != 1 || learned.Mount != Yes || stated.Mount != No {
		t.Errorf("plain %v, learned %v, stated %v", plain.Learned, learned.Mount, stated.Mount)
	}
}
