package providers

import "testing"

// Where an ability was learned follows who said it, and a Caps that was handed
// out does not change.
func TestCapsSource(t *testing.T) {
	plain := Caps{Mount: Yes, Immutable: No, Learned: map[string]Source{CapMount: Account}}
	learned := plain.With(map[string]Tri{CapReferrers: No, CapMount: No})
	changes := Caps{Changes: true}
	if c := changes.With(map[string]Tri{CapChanges: No}); c.Changes || c.Source(CapChanges) != Tried {
		t.Errorf("a host that was seen not to tell changes is believed to: %+v", c)
	}
	if c := changes.With(map[string]Tri{CapChanges: Yes}).Override(map[string]Tri{CapChanges: No}); c.Changes || c.Source(CapChanges) != Stated {
		t.Errorf("the policy does not win: %+v", c)
	}
	if c := (Caps{}).With(map[string]Tri{CapChanges: Yes}).Override(map[string]Tri{CapChanges: Yes}); c.Changes {
		t.Error("a host that knows no changes is asked for them")
	}
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
