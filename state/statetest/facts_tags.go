package statetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
)

func testSourceTags(t *testing.T, s state.Store) {
	ctx, a, b := t.Context(), repo("a"), repo("b")
	equal(t, "unknown repository", all(t, s.SourceTags(ctx, a)), []state.SourceTag(nil))
	check(t, s.SeeSource(ctx, a, at(1), nil))
	check(t, s.SeeSource(ctx, a, at(1), []state.SourceTag{
		{Name: "b", Digest: hash("1")}, {Name: "B", Digest: hash("2")}, {Name: "a-1"}, {Name: "a_1"}, {Name: "é"}, {Name: "a.1"},
	}))
	check(t, s.SeeSource(ctx, b, at(2), []state.SourceTag{{Name: "other"}}))
	check(t, s.SeeSource(ctx, state.Repo{Host: "else.example", Name: "a"}, at(2), []state.SourceTag{{Name: "other"}}))
	equal(t, "sorted bytewise", all(t, s.SourceTags(ctx, a)), []state.SourceTag{
		{Name: "B", Digest: hash("2"), FirstSeen: at(1)},
		{Name: "a-1", FirstSeen: at(1)},
		{Name: "a.1", FirstSeen: at(1)},
		{Name: "a_1", FirstSeen: at(1)},
		{Name: "b", Digest: hash("1"), FirstSeen: at(1)},
		{Name: "é", FirstSeen: at(1)},
	})
	check(t, s.ForgetSource(ctx, a, []string{"b", "a-1", "a.1", "a_1", "é", "never", "b"}))
	check(t, s.ForgetSource(ctx, a, nil))
	check(t, s.ForgetSource(ctx, repo("unknown"), []string{"x"}))
	equal(t, "left", all(t, s.SourceTags(ctx, a)), []state.SourceTag{{Name: "B", Digest: hash("2"), FirstSeen: at(1)}})
	equal(t, "untouched", all(t, s.SourceTags(ctx, b)), []state.SourceTag{{Name: "other", FirstSeen: at(2)}})
}

// Each step sees one tag; want is what is known afterwards.
func testSeeSource(t *testing.T, s state.Store) {
	one, two, none := hash("1"), hash("2"), v1.Hash{}
	for _, tt := range []struct {
		name string
		seen []v1.Hash // at(1), at(2), …
		want state.SourceTag
	}{
		{"new", []v1.Hash{one}, state.SourceTag{Digest: one, FirstSeen: at(1)}},
		{"unchanged keeps its time", []v1.Hash{one, one}, state.SourceTag{Digest: one, FirstSeen: at(1)}},
		{"moved is new", []v1.Hash{one, two}, state.SourceTag{Digest: two, FirstSeen: at(2)}},
		{"moved back is new", []v1.Hash{one, two, one}, state.SourceTag{Digest: one, FirstSeen: at(3)}},
		{"a name alone", []v1.Hash{none, none}, state.SourceTag{FirstSeen: at(1)}},
		{"a name alone keeps the digest", []v1.Hash{one, none}, state.SourceTag{Digest: one, FirstSeen: at(1)}},
		{"a digest that becomes known is new", []v1.Hash{none, one}, state.SourceTag{Digest: one, FirstSeen: at(2)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, r := t.Context(), repo(tt.name)
			for i, d := range tt.seen {
				check(t, s.SeeSource(ctx, r, at(i+1), []state.SourceTag{{Name: "v1", Digest: d, FirstSeen: at(99)}}))
			}
			tt.want.Name = "v1"
			equal(t, "known", all(t, s.SourceTags(ctx, r)), []state.SourceTag{tt.want})
		})
	}
	t.Run("the same tag twice", func(t *testing.T) {
		ctx, r := t.Context(), repo("twice")
		check(t, s.SeeSource(ctx, r, at(1), []state.SourceTag{{Name: "v1", Digest: one}, {Name: "v1", Digest: two}, {Name: "v1"}}))
		equal(t, "known", all(t, s.SourceTags(ctx, r)), []state.SourceTag{{Name: "v1", Digest: two, FirstSeen: at(1)}})
	})
}

func testTargetTags(t *testing.T, s state.Store) {
	ctx, r := t.Context(), repo("a")
	full := state.TargetTag{
		Name: "v1", Rule: "apps", Source: hash("s"), Selection: "linux/amd64", Digest: hash("d"),
		PutAt: at(1), VerifiedAt: at(2), RestoredAt: at(3), Restored: hash("r"),
	}
	adopted := state.TargetTag{Name: "V0", Digest: hash("x"), VerifiedAt: at(1)}
	equal(t, "unknown repository", all(t, s.TargetTags(ctx, r)), []state.TargetTag(nil))
	check(t, s.Put(ctx, state.Record{Repo: r, Tags: []state.TargetTag{full, adopted}}))
	equal(t, "put", all(t, s.TargetTags(ctx, r)), []state.TargetTag{adopted, full})

	moved := state.TargetTag{Name: "v1", Rule: "more", Digest: hash("e"), PutAt: at(9)}
	check(t, s.Put(ctx, state.Record{Repo: r, Tags: []state.TargetTag{full, moved}}))
	equal(t, "the last of two wins, every field", all(t, s.TargetTags(ctx, r)), []state.TargetTag{adopted, moved})

	check(t, s.ForgetTags(ctx, r, []string{"v1", "never"}))
	check(t, s.ForgetTags(ctx, repo("unknown"), []string{"v1"}))
	equal(t, "forgotten", all(t, s.TargetTags(ctx, r)), []state.TargetTag{adopted})
}

// An image is recorded with all it brought, or not at all.
func testPutIsWhole(t *testing.T, s state.Store) {
	ctx, r := t.Context(), repo("a")
	err := s.Put(ctx, state.Record{
		Repo: r, Tags: []state.TargetTag{{Name: "v1"}, {Name: ""}}, Present: []state.Present{{Digest: hash("1")}},
	})
	if err == nil {
		t.Fatal("a tag without a name was recorded")
	}
	equal(t, "tags", all(t, s.TargetTags(ctx, r)), []state.TargetTag(nil))
	equal(t, "blobs", must(s.Has(ctx, r, []v1.Hash{hash("1")}))(t), map[v1.Hash]bool{})
	check(t, s.Put(ctx, state.Record{Repo: r}))
}

func testVerified(t *testing.T, s state.Store) {
	ctx, r := t.Context(), repo("a")
	check(t, s.Put(ctx, state.Record{Repo: r, Tags: []state.TargetTag{{Name: "a", PutAt: at(1)}, {Name: "b", VerifiedAt: at(1)}, {Name: "c"}}}))
	check(t, s.Verified(ctx, r, at(5), []string{"b", "a", "never"}))
	check(t, s.Verified(ctx, r, at(6), nil))
	equal(t, "tags", all(t, s.TargetTags(ctx, r)), []state.TargetTag{
		{Name: "a", PutAt: at(1), VerifiedAt: at(5)}, {Name: "b", VerifiedAt: at(5)}, {Name: "c"}})
}

// testPages reads and writes more rows than any page or batch has.
func testPages(t *testing.T, s state.Store) {
	ctx, r := t.Context(), repo("a")
	const n = 2500
	var source []state.SourceTag
	var target []state.TargetTag
	var names []string
	for i := range n {
		name := fmt.Sprintf("v%04d", i)
		names = append(names, name)
		source = append(source, state.SourceTag{Name: name, Digest: hash(name), FirstSeen: at(1)})
		target = append(target, state.TargetTag{Name: name, Digest: hash(name)})
	}
	shuffled := slices.Clone(source)
	slices.Reverse(shuffled)
	check(t, s.SeeSource(ctx, r, at(1), shuffled))
	check(t, s.Put(ctx, state.Record{Repo: r, Tags: target}))
	equal(t, "source", all(t, s.SourceTags(ctx, r)), source)
	equal(t, "target", all(t, s.TargetTags(ctx, r)), target)

	seen := 0
	for range s.SourceTags(ctx, r) {
		if seen++; seen == 1001 {
			break
		}
	}
	check(t, s.Verified(ctx, r, at(7), names))
	for _, tag := range all(t, s.TargetTags(ctx, r)) {
		if !tag.VerifiedAt.Equal(at(7)) {
			t.Fatalf("%s was not verified", tag.Name)
		}
	}
	check(t, s.ForgetTags(ctx, r, names[1:]))
	check(t, s.ForgetSource(ctx, r, names[1:]))
	equal(t, "one source tag is left", len(all(t, s.SourceTags(ctx, r))), 1)
	equal(t, "one target tag is left", len(all(t, s.TargetTags(ctx, r))), 1)
}

// testSlowReader writes, many times, while iterators stand still.
func testSlowReader(t *testing.T, s state.Store) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := repo("a")
	check(t, s.SeeSource(ctx, r, at(1), []state.SourceTag{{Name: "a"}, {Name: "b"}}))
	var stand func(depth int)
	stand = func(depth int) {
		for _, err := range s.SourceTags(ctx, r) {
			check(t, err)
			if depth < 40 { // more than any pool has connections
				stand(depth + 1)
				return
			}
			check(t, s.SeeSource(ctx, r, at(2), []state.SourceTag{{Name: "c"}}))
			return
		}
	}
	stand(0)
	equal(t, "tags", len(all(t, s.SourceTags(ctx, r))), 3)
}

func testEndedContext(t *testing.T, s state.Store) {
	cause := errors.New("told to stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := s.SeeSource(ctx, repo("a"), at(1), []state.SourceTag{{Name: "a"}}); !errors.Is(err, cause) {
		t.Errorf("SeeSource: %v, want the cause", err)
	}
	for _, err := range s.SourceTags(ctx, repo("a")) {
		if !errors.Is(err, cause) {
			t.Errorf("SourceTags: %v, want the cause", err)
		}
	}
	if _, err := s.Take(ctx); !errors.Is(err, cause) {
		t.Errorf("Take: %v, want the cause", err)
	}
	check(t, s.SeeSource(t.Context(), repo("a"), at(1), []state.SourceTag{{Name: "a"}}))
}
