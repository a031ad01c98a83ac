package replicator

import (
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/state"
)

func TestPendingSince(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	ago := func(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }
	inStep, behind := state.Standing{Surveyed: ago(10)}, state.Standing{Surveyed: ago(10), Pending: ago(60)}
	never := time.Time{}
	for _, tt := range []struct {
		name   string
		past   state.Standing
		behind []time.Time
		want   time.Time
	}{
		{"moved since all was in step", inStep, []time.Time{ago(3)}, ago(3)},
		{"moved before, and in step then", inStep, []time.Time{ago(99)}, ago(10)},
		{"nobody tells", inStep, []time.Time{never}, ago(10)},
		{"still behind", behind, []time.Time{ago(60)}, ago(60)},
		{"another one is behind now", behind, []time.Time{ago(5)}, ago(5)},
		{"it cannot be older than the oldest was", behind, []time.Time{ago(99)}, ago(60)},
		{"still behind, nobody tells", behind, []time.Time{never, ago(5)}, ago(60)},
		{"the oldest counts", behind, []time.Time{ago(5), ago(7), ago(6)}, ago(7)},
		{"the first look", state.Standing{}, []time.Time{never}, now},
		{"the first look at what was moved", state.Standing{}, []time.Time{ago(2)}, ago(2)},
		{"the source's clock is ahead", inStep, []time.Time{now.Add(time.Hour)}, now},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := pendingSince(tt.past, now, tt.behind); !got.Equal(tt.want) {
				t.Errorf("pending for %v, want %v", now.Sub(got), now.Sub(tt.want))
			}
		})
	}
}

const twoRules = `
rules:
  - name: letters
    from: {registry: src, repositories: {include: [app]}}
    to: [{registry: one}]
    tags: {include: ["a*"]}
  - name: numbers
    from: {registry: src, repositories: {include: [app]}}
    to: [{registry: one}]
    tags: {include: ["1*"]}
`

// Rules that share a target have each what is theirs, in figures and standings.
func TestRulesThatShareATarget(t *testing.T) {
	r := newRig(t, twoRules, nil)
	good, bad := content.Layer("good", 1000), content.Layer("bad", 2000)
	r.load("app", content.Image("a", []content.Blob{good}), "a", "aa", "other")
	r.load("app", content.Image("1", []content.Blob{bad}), "1")
	r.load("app", content.Image("11", nil), "11")
	if err := r.servers["src"].DeleteBlob("app", bad.Digest); err != nil {
		t.Fatal(err)
	}
	r.rule("letters", state.Figures{Tags: 2, Copied: 2, Manifests: 2, BlobsSent: 2}, state.Standing{InStep: 2})
	r.rule("numbers", state.Figures{Tags: 2, InStep: 1, Failed: 1, Present: 1}, state.Standing{InStep: 1, Behind: 1, Failed: 1})
}

// rule makes a pass, and compares what it says of one rule; of the figures all
// but the bytes.
func (r *rig) rule(name string, figures state.Figures, standing state.Standing) {
	r.t.Helper()
	reports, _ := r.pass()
	got := reports[0].ByRule[name]
	got.BytesRead, got.BytesSent, got.BytesSaved, got.BytesMounted = 0, 0, 0, 0
	if got != figures {
		r.t.Errorf("rule %s\n got %+v\nwant %+v", name, got, figures)
	}
	all, err := r.state.Standings(r.t.Context(), name)
	if err != nil || len(all) != 1 {
		r.t.Fatalf("%+v, %v", all, err)
	}
	if s := all[0]; s.InStep != standing.InStep || s.Behind != standing.Behind || s.Failed != standing.Failed {
		r.t.Errorf("rule %s\n got %+v\nwant %+v", name, s, standing)
	}
}
