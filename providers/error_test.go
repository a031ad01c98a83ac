package providers

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
)

func TestKindOf(t *testing.T) {
	e := &Error{Kind: Throttled, Op: "list tags", Ref: "host/repo", Hint: "wait", Err: errors.New("429")}
	for _, tt := range []struct {
		err  error
		kind Kind
		hint string
	}{
		{nil, Unknown, ""},
		{errors.New("x"), Unknown, ""},
		{e, Throttled, "wait"},
		{fmt.Errorf("source: %w", e), Throttled, "wait"},
		{errors.Join(errors.New("x"), e), Throttled, "wait"},
	} {
		if KindOf(tt.err) != tt.kind || HintOf(tt.err) != tt.hint {
			t.Errorf("%v: kind %v, hint %q", tt.err, KindOf(tt.err), HintOf(tt.err))
		}
	}
	if got, want := e.Error(), "list tags host/repo: throttled: 429"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestKindPrintsAndReadsBack(t *testing.T) {
	for k := Unknown; k <= Unsupported; k++ {
		raw, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		var back Kind
		if err := json.Unmarshal(raw, &back); err != nil || back != k {
			t.Errorf("%s reads back as %v, %v", raw, back, err)
		}
		if retry := k == Unknown || k == Throttled || k == Unavailable; k.Retryable() != retry {
			t.Errorf("%v: retryable %v", k, !retry)
		}
	}
	if got := Kind(99).String(); got != "kind 99" {
		t.Errorf("got %q", got)
	}
}

func TestCapsLayers(t *testing.T) {
	c := Caps{Mount: Yes}
	learned := map[string]Tri{CapMount: No, CapReferrers: No, CapChunks: Maybe}
	if got := c.With(learned); got.Mount != Yes || got.Referrers != No || got.Chunks != Maybe {
		t.Errorf("what is learned overrides what is known: %+v", got)
	}
	if got := c.Override(learned); got.Mount != No || got.Referrers != No || got.Chunks != Maybe {
		t.Errorf("what the policy says does not count: %+v", got)
	}
	if c.Mount != Yes || c.Referrers != Maybe {
		t.Errorf("the original changed: %+v", c)
	}
}

func TestTriReadsBack(t *testing.T) {
	for _, v := range []Tri{Maybe, Yes, No} {
		text, err := v.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back Tri
		if err := back.UnmarshalText(text); err != nil || back != v {
			t.Errorf("%s reads back as %v, %v", text, back, err)
		}
	}
	var v Tri
	if err := v.UnmarshalText([]byte("perhaps")); err == nil {
		t.Error("perhaps is accepted")
	}
}

// TestSessionsDoNotPrint: a location can hold a secret.
func TestSessionsDoNotPrint(t *testing.T) {
	s := &Session{Location: "https://host/upload?token=hunter2"}
	for _, format := range []string{"%v", "%s", "%+v"} {
		if got := fmt.Sprintf(format, s); got != "[upload session]" {
			t.Errorf("%s prints %q", format, got)
		}
	}
}
