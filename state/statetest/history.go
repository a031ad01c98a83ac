package statetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/state"
)

func testPasses(t *testing.T, s state.Store) {
	ctx := t.Context()
	equal(t, "none", must(s.Passes(ctx, "", 5))(t), []state.Pass(nil))
	p := state.Pass{Rule: "apps", Trigger: "cli", Started: at(1)}
	p.ID = must(s.BeginPass(ctx, p))(t)
	q := state.Pass{Rule: "base", Trigger: "schedule", Started: at(2)}
	q.ID = must(s.BeginPass(ctx, q))(t)
	p.Outcome, q.Outcome = state.Running, state.Running
	equal(t, "running, newest first", must(s.Passes(ctx, "", 5))(t), []state.Pass{q, p})

	p.Ended, p.Outcome, p.Error = at(3), state.Partly, "one failed"
	p.Figures = state.Figures{Tags: 1, InStep: 2, Copied: 3, Failed: 4, Kept: 5, Manifests: 6, BlobsSent: 7,
		Mounted: 8, Present: 9, BytesRead: 10, BytesRead2: 11, BytesSent: 1 << 50, BytesSaved: 13, BytesMounted: 12, Imported: 14, BytesImported: 15}
	renamed := p
	renamed.Rule, renamed.Trigger, renamed.Started = "ignored", "ignored", at(99)
	check(t, s.EndPass(ctx, renamed))
	equal(t, "ended", must(s.Passes(ctx, "apps", 5))(t), []state.Pass{p})
	equal(t, "limited", must(s.Passes(ctx, "", 1))(t), []state.Pass{q})
	equal(t, "no limit", len(must(s.Passes(ctx, "", 0))(t)), 2)
	equal(t, "unknown rule", must(s.Passes(ctx, "never", 5))(t), []state.Pass(nil))
	if err := s.EndPass(ctx, state.Pass{ID: q.ID + 99, Ended: at(4)}); err == nil {
		t.Error("a pass ended that never began")
	}
}

func testPrune(t *testing.T, s state.Store) {
	ctx := t.Context()
	const old, kept = 1203, state.KeptPasses
	pass := func(rule string, i int, ended bool) {
		p := state.Pass{Rule: rule, Started: at(i)}
		p.ID = must(s.BeginPass(ctx, p))(t)
		if p.Ended, p.Outcome = at(i), state.Succeeded; ended {
			check(t, s.EndPass(ctx, p))
		}
	}
	for i := range old {
		pass("often", i, true)
		if i < kept {
			pass("seldom", i, true)
		}
	}
	pass("often", old, false)
	equal(t, "dropped, but for the last", must(s.Prune(ctx, at(old+99)))(t), int64(old-kept+1))
	equal(t, "left, with the one that runs", len(must(s.Passes(ctx, "often", 0))(t)), kept)
	equal(t, "as few as are kept", len(must(s.Passes(ctx, "seldom", 0))(t)), kept)
	equal(t, "once", must(s.Prune(ctx, at(old+99)))(t), int64(0))
	for i := range 5 {
		pass("often", old+i, true)
	}
	equal(t, "by their age", must(s.Prune(ctx, at(old-kept+3)))(t), int64(2))
}

// testPruneWork holds that a key which nobody wants any more is forgotten in time,
// and no other.
func testPruneWork(t *testing.T, s state.Store) {
	ctx := t.Context()
	for _, key := range []string{"done", "cancelled", "wanted", "runs", "failed"} {
		check(t, s.Ask(ctx, state.Ask{Key: key, Detail: "what " + key}))
	}
	must(s.Cancel(ctx, "cancelled"))(t)
	check(t, s.Ask(ctx, state.Ask{Key: "wanted", NotBefore: time.Hour}))
	check(t, s.Ask(ctx, state.Ask{Key: "failed", Priority: 3}, state.Ask{Key: "done", Priority: 2}, state.Ask{Key: "runs", Priority: 1}))
	check(t, s.Done(ctx, must(s.Take(ctx))(t), errRun, time.Minute))
	check(t, s.Done(ctx, must(s.Take(ctx))(t), nil, 0))
	runs := must(s.Take(ctx))(t)
	must(s.Prune(ctx, time.Now().Add(-time.Hour)))(t)
	again := func(key string) string {
		check(t, s.Ask(ctx, state.Ask{Key: key, Priority: 9}))
		c := must(s.Take(ctx))(t)
		check(t, s.Release(ctx, c))
		must(s.Cancel(ctx, key))(t)
		return c.Detail
	}
	equal(t, "asked for since", again("done"), "what done")
	must(s.Prune(ctx, time.Now().Add(time.Hour)))(t)
	equal(t, "done before", again("done"), "")
	equal(t, "cancelled before", again("cancelled"), "")
	check(t, s.Done(ctx, runs, nil, 0))
	equal(t, "ran", again("runs"), "what runs")
	equal(t, "wanted", again("wanted"), "what wanted")
	equal(t, "to be tried again", again("failed"), "what failed")
}

func testStandings(t *testing.T, s state.Store) {
	ctx := t.Context()
	of := func(rule, source, target string) state.Standing {
		return state.Standing{Rule: rule, Source: repo(source), Target: state.Repo{Host: "t.example", Name: target}, Surveyed: at(1)}
	}
	full := of("apps", "b", "x")
	full.Pending, full.InStep, full.Behind, full.Failed, full.Conflict = at(2), 1, 2, 3, 4
	full.Refused, full.Cooling, full.Gone, full.Complete = 5, 6, 7, true
	list := []state.Standing{of("base", "a", "a"), full, of("apps", "z", "a"), of("apps", "a", "x")}
	for _, st := range list {
		check(t, s.SetStanding(ctx, st, nil))
	}
	equal(t, "sorted by rule, target, source", must(s.Standings(ctx, ""))(t), []state.Standing{list[2], list[3], full, list[0]})
	equal(t, "of one rule", must(s.Standings(ctx, "base"))(t), list[:1])
	full.Pending, full.Complete = at(0).AddDate(-1, 0, 0), false
	check(t, s.SetStanding(ctx, full, nil))
	equal(t, "replaced", must(s.Standings(ctx, "apps"))(t), []state.Standing{list[2], list[3], full})
	equal(t, "unknown rule", must(s.Standings(ctx, "never"))(t), []state.Standing(nil))

	check(t, s.SetStanding(ctx, full, []state.Item{{Tag: "v1", Kind: "failed"}}))
	check(t, s.ForgetStandings(ctx, nil))
	check(t, s.ForgetStandings(ctx, []state.Standing{full, list[3], of("apps", "never", "seen")}))
	equal(t, "forgotten", must(s.Standings(ctx, ""))(t), []state.Standing{list[2], list[0]})
	equal(t, "with their items", must(s.Items(ctx, "apps", 0))(t), []state.Item(nil))
}

func testItemsSince(t *testing.T, s state.Store) {
	ctx := t.Context()
	st := state.Standing{Rule: "apps", Source: repo("a"), Target: state.Repo{Host: "t.example", Name: "a"}, Surveyed: at(1)}
	item := func(tag, kind string, since int) state.Item {
		return state.Item{Rule: st.Rule, Target: st.Target, Tag: tag, Kind: kind, Reason: "because", Hint: "try", Since: at(since)}
	}
	other := st
	other.Target.Name, other.Rule = "b", "base"
	check(t, s.SetStanding(ctx, other, []state.Item{{Rule: "base", Target: other.Target, Tag: "v1", Kind: "failed"}}))
	check(t, s.SetStanding(ctx, st, []state.Item{item("v2", "failed", 1), item("v1", "conflict", 2)}))
	equal(t, "sorted by tag", must(s.Items(ctx, "apps", 9))(t), []state.Item{item("v1", "conflict", 2), item("v2", "failed", 1)})

	changed := item("v2", "failed", 9)
	changed.Reason = "another"
	check(t, s.SetStanding(ctx, st, []state.Item{changed, item("v1", "refused", 9)}))
	changed.Since = at(1)
	equal(t, "since is kept while the kind stays", must(s.Items(ctx, "apps", 0))(t), []state.Item{item("v1", "refused", 9), changed})
	equal(t, "limited", must(s.Items(ctx, "", 1))(t), []state.Item{item("v1", "refused", 9)})

	all := must(s.Items(ctx, "", 0))(t)
	equal(t, "of all rules", len(all), 3)
	equal(t, "one without a time is as old as its survey", all[2].Since, at(1))

	check(t, s.SetStanding(ctx, st, nil))
	equal(t, "gone", must(s.Items(ctx, "apps", 0))(t), []state.Item(nil))
	check(t, s.SetStanding(ctx, st, []state.Item{item("v2", "failed", 9)}))
	equal(t, "and new when it is back", must(s.Items(ctx, "apps", 0))(t), []state.Item{item("v2", "failed", 9)})

	var many []state.Item
	for i := range 1100 {
		many = append(many, item(fmt.Sprintf("v%04d", i), "failed", i))
	}
	check(t, s.SetStanding(ctx, st, many))
	equal(t, "many", must(s.Items(ctx, "apps", 0))(t), many)
}

// What hosts say may be anything; it is shown, not refused.
func testProse(t *testing.T, s state.Store) {
	ctx := t.Context()
	st := state.Standing{Rule: "apps", Source: repo("a"), Target: repo("b"), Surveyed: at(1)}
	check(t, s.SetStanding(ctx, st, []state.Item{{Tag: "v1", Kind: "failed", Reason: "a\x00\xffb", Hint: "\x00"}}))
	id := must(s.BeginPass(ctx, state.Pass{Rule: "apps"}))(t)
	check(t, s.EndPass(ctx, state.Pass{ID: id, Ended: at(1), Error: "\xff\x00 said 'no'"}))
	if e := must(s.Passes(ctx, "apps", 1))(t)[0].Error; !strings.HasSuffix(e, " said 'no'") {
		t.Errorf("error %q", e)
	}
}
