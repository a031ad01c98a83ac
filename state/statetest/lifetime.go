package statetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
)

// testReopen writes one of everything and reads it from a store opened anew.
func testReopen(t *testing.T, open func() state.Store) {
	ctx, r := t.Context(), repo("a")
	s := open()
	check(t, s.SeeSource(ctx, r, at(1), []state.SourceTag{{Name: "v1", Digest: hash("1")}}))
	check(t, s.Put(ctx, state.Record{Repo: r, Tags: []state.TargetTag{{Name: "v1", Digest: hash("1")}}, Present: present(hash("1"))}))
	check(t, s.SetChecked(ctx, r, at(1), []v1.Hash{hash("1")}))
	check(t, s.SetSubjects(ctx, r, map[v1.Hash]v1.Hash{hash("1"): {}}))
	check(t, s.SetMark(ctx, r, state.Target, state.Mark{Tags: at(1)}))
	check(t, s.Learn(ctx, r.Host, "mount", true, at(1)))
	check(t, s.Refuse(ctx, r.Host, state.Refusal{From: "a", To: "b", Until: at(9)}))
	check(t, s.SaveUpload(ctx, state.Upload{Repo: r, Digest: hash("2"), Location: "/u"}))
	check(t, s.SetStanding(ctx, state.Standing{Rule: "x", Source: r, Target: r}, []state.Item{{Tag: "v1", Kind: "k"}}))
	must(s.BeginPass(ctx, state.Pass{Rule: "x"}))(t)
	check(t, s.Ask(ctx, state.Ask{Key: "k", Hints: []string{"a"}}))
	check(t, s.Close())

	s = open()
	equal(t, "source tags", len(all(t, s.SourceTags(ctx, r))), 1)
	equal(t, "target tags", len(all(t, s.TargetTags(ctx, r))), 1)
	equal(t, "locations", len(must(s.Locate(ctx, r.Host, []v1.Hash{hash("1")}, 0))(t)), 1)
	equal(t, "checked", len(must(s.Checked(ctx, r, []v1.Hash{hash("1")}))(t)), 1)
	equal(t, "subjects", len(must(s.Subjects(ctx, r, []v1.Hash{hash("1")}))(t)), 1)
	equal(t, "mark", must(s.Mark(ctx, r, state.Target))(t), state.Mark{Tags: at(1)})
	equal(t, "learned", len(must(s.Learned(ctx, r.Host, at(0)))(t)), 1)
	equal(t, "refusals", len(must(s.Refusals(ctx, r.Host, at(1)))(t)), 1)
	equal(t, "uploads", len(must(s.Uploads(ctx, r.Host))(t)), 1)
	equal(t, "standings", len(must(s.Standings(ctx, ""))(t)), 1)
	equal(t, "items", len(must(s.Items(ctx, "", 0))(t)), 1)
	equal(t, "passes", len(must(s.Passes(ctx, "", 0))(t)), 1)
	equal(t, "hints", take(t, s, "k").Hints, []string{"a"})
	check(t, s.Close())
}

func testClaimsEndWithClose(t *testing.T, open func() state.Store) {
	ctx := t.Context()
	s := open()
	check(t, s.Ask(ctx, state.Ask{Key: "k", Hints: []string{"a"}}))
	c := take(t, s, "k")
	check(t, s.Ask(ctx, state.Ask{Key: "k", Hints: []string{"b"}}))
	check(t, s.Close())
	if err := s.Done(ctx, c, nil, 0); err == nil {
		t.Error("a closed store took a result")
	}
	s = open()
	c = take(t, s, "k")
	equal(t, "hints", c.Hints, []string{"a", "b"})
	equal(t, "attempt", c.Attempt, 0)
	check(t, s.Close())
}

func testClosed(t *testing.T, s state.Store) {
	ctx, r := t.Context(), repo("a")
	check(t, s.Close())
	check(t, s.Close())
	_, take := s.Take(ctx)
	_, passes := s.Passes(ctx, "", 0)
	_, has := s.Has(ctx, r, []v1.Hash{hash("1")})
	for name, err := range map[string]error{
		"Put":       s.Put(ctx, state.Record{Repo: r}),
		"SeeSource": s.SeeSource(ctx, r, at(1), []state.SourceTag{{Name: "a"}}),
		"Has":       has,
		"Ask":       s.Ask(ctx, state.Ask{Key: "k"}),
		"Take":      take,
		"Passes":    passes,
	} {
		if !errors.Is(err, state.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	for _, err := range s.SourceTags(ctx, r) {
		if !errors.Is(err, state.ErrClosed) {
			t.Errorf("SourceTags: %v, want ErrClosed", err)
		}
	}
}

// testConcurrent lets many writers touch the same rows in different orders while
// others read.
func testConcurrent(t *testing.T, s state.Store) {
	ctx := t.Context()
	const writers, each, blobs = 8, 12, 40
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := write(t, s, w, i, blobs); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	var digests []v1.Hash
	for i := range blobs {
		digests = append(digests, hash(fmt.Sprint(i)))
	}
	found := must(s.Locate(ctx, repo("").Host, digests, 0))(t)
	for _, d := range digests {
		equal(t, "places of "+d.String(), len(found[d]), writers)
	}
	for w := range writers {
		equal(t, "tags", len(all(t, s.TargetTags(ctx, repo(fmt.Sprint(w))))), each)
	}
	equal(t, "shared tags", len(all(t, s.SourceTags(ctx, repo("shared")))), each)
	equal(t, "queue", len(must(s.Queue(ctx))(t)), each)
}

func write(t *testing.T, s state.Store, w, i, blobs int) error {
	ctx := t.Context()
	var list []state.Present
	for b := range blobs {
		list = append(list, state.Present{Digest: hash(fmt.Sprint((b*7 + w*13 + i) % blobs)), Size: 1})
	}
	r := repo(fmt.Sprint(w))
	err := s.Put(ctx, state.Record{Repo: r, Tags: []state.TargetTag{{Name: fmt.Sprint("v", i), PutAt: at(i)}}, Present: list})
	shared := []state.SourceTag{{Name: fmt.Sprint("v", i), Digest: hash(fmt.Sprint(w))}}
	return errors.Join(err,
		s.SeeSource(ctx, repo("shared"), at(i), shared),
		s.Ask(ctx, state.Ask{Key: fmt.Sprint("k", i), Hints: []string{fmt.Sprint(w)}, NotBefore: time.Hour}),
		s.Learn(ctx, r.Host, "mount", w%2 == 0, at(i)))
}
