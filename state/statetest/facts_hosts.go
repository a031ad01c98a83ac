package statetest

import (
	"testing"

	"github.com/transship/transship/state"
)

func testLearned(t *testing.T, s state.Store) {
	ctx := t.Context()
	equal(t, "nothing", must(s.Learned(ctx, "h", at(0)))(t), map[string]bool{})
	check(t, s.Learn(ctx, "h", "mount", true, at(1)))
	check(t, s.Learn(ctx, "h", "sparse", false, at(5)))
	check(t, s.Learn(ctx, "other", "chunks", true, at(9)))
	equal(t, "all", must(s.Learned(ctx, "h", at(0)))(t), map[string]bool{"mount": true, "sparse": false})
	equal(t, "after, not at", must(s.Learned(ctx, "h", at(1)))(t), map[string]bool{"sparse": false})
	check(t, s.Learn(ctx, "h", "mount", false, at(9)))
	equal(t, "learned anew", must(s.Learned(ctx, "h", at(5)))(t), map[string]bool{"mount": false})
}

func testRefusals(t *testing.T, s state.Store) {
	ctx := t.Context()
	check(t, s.Refuse(ctx, "h", state.Refusal{From: "b", To: "x", Until: at(5)}))
	check(t, s.Refuse(ctx, "h", state.Refusal{From: "a", To: "x", Until: at(9)}))
	check(t, s.Refuse(ctx, "other", state.Refusal{From: "a", To: "x", Until: at(9)}))
	equal(t, "both hold", must(s.Refusals(ctx, "h", at(4)))(t),
		[]state.Refusal{{From: "a", To: "x", Until: at(9)}, {From: "b", To: "x", Until: at(5)}})
	equal(t, "one lapsed", must(s.Refusals(ctx, "h", at(5)))(t), []state.Refusal{{From: "a", To: "x", Until: at(9)}})
	check(t, s.Refuse(ctx, "h", state.Refusal{From: "a", To: "x", Until: at(20)}))
	equal(t, "renewed", must(s.Refusals(ctx, "h", at(10)))(t), []state.Refusal{{From: "a", To: "x", Until: at(20)}})
	equal(t, "none", must(s.Refusals(ctx, "h", at(20)))(t), []state.Refusal(nil))
}

func testUploads(t *testing.T, s state.Store) {
	ctx := t.Context()
	up := state.Upload{Repo: repo("b"), Digest: hash("1"), Location: "https://h/u?sig=secret", Committed: 7, Started: at(1)}
	other := state.Upload{Repo: repo("a"), Digest: hash("1"), Location: "/2", Started: at(2)}
	check(t, s.SaveUpload(ctx, up))
	check(t, s.SaveUpload(ctx, other))
	check(t, s.SaveUpload(ctx, state.Upload{Repo: state.Repo{Host: "else.example", Name: "a"}, Digest: hash("1"), Location: "/3"}))
	equal(t, "both", must(s.Uploads(ctx, up.Repo.Host))(t), []state.Upload{other, up})
	up.Committed, up.Location = 1<<40, "/next"
	check(t, s.SaveUpload(ctx, up))
	equal(t, "upserted", must(s.Uploads(ctx, up.Repo.Host))(t), []state.Upload{other, up})
	check(t, s.DropUpload(ctx, up.Repo, up.Digest))
	check(t, s.DropUpload(ctx, up.Repo, up.Digest))
	check(t, s.DropUpload(ctx, repo("never"), up.Digest))
	equal(t, "one", must(s.Uploads(ctx, up.Repo.Host))(t), []state.Upload{other})
	equal(t, "unknown host", must(s.Uploads(ctx, "never.example"))(t), []state.Upload(nil))
}

// Names that one engine cannot store are refused by all, and spoil nothing.
func testBadNames(t *testing.T, s state.Store) {
	ctx := t.Context()
	for _, name := range []string{"", "a\x00b", "\xff"} {
		if err := s.SeeSource(ctx, repo("a"), at(1), []state.SourceTag{{Name: "fine"}, {Name: name}}); err == nil {
			t.Errorf("SeeSource took the tag %q", name)
		}
		if err := s.SeeSource(ctx, repo(name), at(1), []state.SourceTag{{Name: "v1"}}); err == nil {
			t.Errorf("SeeSource took the repository %q", name)
		}
		if err := s.Learn(ctx, name, "mount", true, at(1)); err == nil {
			t.Errorf("Learn took the host %q", name)
		}
		if err := s.Ask(ctx, state.Ask{Key: "fine"}, state.Ask{Key: name}); err == nil {
			t.Errorf("Ask took the key %q", name)
		}
	}
	equal(t, "nothing of it is kept", all(t, s.SourceTags(ctx, repo("a"))), []state.SourceTag(nil))
	equal(t, "no work either", must(s.Queue(ctx))(t), []state.Row(nil))
}
