package replicator

import (
	"testing"

	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/state"
)

// A kept conflict is told; with onConflict: fail it fails the pass.
func TestConflictFails(t *testing.T) {
	for choice, outcome := range map[string]state.Outcome{"keep": state.Succeeded, "fail": state.Partly} {
		t.Run(choice, func(t *testing.T) {
			r := newRig(t, oneRule+"    onConflict: "+choice+"\n", nil)
			r.load("app", content.Image("a", nil), "v1")
			r.load("app", content.Image("b", nil), "v2")
			if err := r.servers["one"].Load("app", content.Image("theirs", nil), "v1"); err != nil {
				t.Fatal(err)
			}
			reports, _ := r.pass()
			if f := reports[0].Figures; f.Tags != 4 || f.Copied != 3 {
				t.Errorf("figures: %+v", f)
			}
			passes, err := r.state.Passes(t.Context(), "all", 1)
			if err != nil || passes[0].Outcome != outcome {
				t.Errorf("pass: %+v, %v", passes, err)
			}
			items, err := r.state.Items(t.Context(), "all", 10)
			if err != nil || len(items) != 1 || items[0].Kind != "conflict" || items[0].Tag != "v1" {
				t.Errorf("items: %+v, %v", items, err)
			}
			all, err := r.state.Standings(t.Context(), "all")
			if err != nil || len(all) != 2 {
				t.Fatalf("standings: %+v, %v", all, err)
			}
			for _, s := range all {
				conflict := s.Target.Host == r.servers["one"].Host()
				if want := int64(2); !conflict && s.InStep != want || conflict && (s.InStep != 1 || s.Conflict != 1) || !s.Complete {
					t.Errorf("standing: %+v", s)
				}
			}
		})
	}
}
