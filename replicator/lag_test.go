package replicator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/state"
)

func TestLags(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	at := func(target string, s state.Standing) state.Standing {
		s.Rule, s.Target = "apps", state.Repo{Host: target, Name: fmt.Sprint(s.Surveyed)}
		return s
	}
	in := state.Standing{Surveyed: ago(time.Minute), InStep: 3, Complete: true}
	for _, tt := range []struct {
		name      string
		rule      policy.Rule
		standings []state.Standing
		want      string
	}{
		{"in step", policy.Rule{Schedule: "*/5 * * * *"}, []state.Standing{at("one", in)}, "one in step"},
		{"the oldest that is missing", policy.Rule{Schedule: "*/5 * * * *", MaxLag: policy.Duration(time.Hour)}, []state.Standing{at("one", in),
			at("one", state.Standing{Surveyed: ago(time.Minute), Pending: ago(10 * time.Minute), Behind: 1, Complete: true}),
			at("one", state.Standing{Surveyed: ago(2 * time.Minute), Pending: ago(time.Hour + time.Minute), Behind: 2, Complete: true})}, "one behind 1h1m0s late"},
		{"nobody has looked", policy.Rule{Schedule: "*/5 * * * *"}, []state.Standing{
			at("one", state.Standing{Surveyed: ago(12 * time.Minute), Complete: true})}, "one behind 10m0s"},
		{"nobody has to look yet", policy.Rule{Schedule: "*/5 * * * *", Windows: []string{"22:00-06:00"}}, []state.Standing{
			at("one", state.Standing{Surveyed: ago(6*time.Hour + time.Minute), Complete: true})}, "one in step"},
		{"but for its jitter", policy.Rule{Schedule: "*/5 * * * *", Jitter: policy.Duration(4 * time.Minute)}, []state.Standing{
			at("one", state.Standing{Surveyed: ago(12 * time.Minute), Complete: true})}, "one behind 6m0s"},
		{"only by hand", policy.Rule{}, []state.Standing{
			at("one", state.Standing{Surveyed: ago(1000 * time.Hour), Complete: true})}, "one in step"},
		{"never complete", policy.Rule{Schedule: "*/5 * * * *"}, []state.Standing{
			at("one", state.Standing{Surveyed: ago(time.Hour), Pending: ago(time.Hour), Behind: 9}), at("two", in)}, "one initializing; two in step"},
		{"paused", policy.Rule{Schedule: "*/5 * * * *", Paused: true}, []state.Standing{
			at("one", state.Standing{Surveyed: ago(9 * time.Hour), Complete: true})}, "one paused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.rule.Name = "apps"
			other := at("three", in)
			other.Rule = "gone"
			var got []string
			for _, l := range Lags([]policy.Rule{tt.rule}, append(tt.standings, other), func(string) bool { return false }, now) {
				text := l.Target + " " + string(l.State)
				if l.Behind > 0 {
					text += " " + l.Behind.String()
				}
				if l.Late {
					text += " late"
				}
				got = append(got, text)
			}
			if text := strings.Join(got, "; "); text != tt.want {
				t.Errorf("got %q, want %q", text, tt.want)
			}
		})
	}
	east := time.FixedZone("two hours east", 2*60*60) // it is 14:00 there
	if behind := unlooked(policy.Rule{Schedule: "0 13 * * *"}, ago(20*time.Hour), now.In(east)); behind != time.Hour {
		t.Errorf("a rule that was due an hour ago by the clock on the wall has not been looked at for %s", behind)
	}
	rule := policy.Rule{Name: "apps", Schedule: "@hourly"}
	list := Lags([]policy.Rule{rule}, []state.Standing{at("one", state.Standing{Surveyed: ago(9 * time.Hour), Complete: true, InStep: 2, Conflict: 1})},
		func(rule string) bool { return rule == "apps" }, now)
	if len(list) != 1 || list[0].State != Paused || list[0].InStep != 2 || list[0].Conflict != 1 || list[0].Repositories != 1 {
		t.Errorf("a rule that is paused by hand: %+v", list)
	}
}
