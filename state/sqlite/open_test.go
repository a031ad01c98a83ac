package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
)

func TestSmoke(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "a b?c%d", "state.db")
	s, err := Open(ctx, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := state.Repo{Host: "h", Name: "a/b"}
	d := v1.Hash{Algorithm: "sha256", Hex: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
	if err := s.SeeSource(ctx, r, time.Now(), []state.SourceTag{{Name: "v1", Digest: d}, {Name: "v0"}}); err != nil {
		t.Fatal(err)
	}
	for tag, err := range s.SourceTags(ctx, r) {
		t.Log(tag, err)
	}
	if err := s.Put(ctx, state.Record{Repo: r, Tags: []state.TargetTag{{Name: "v1", Digest: d}}, Present: []state.Present{{Digest: d, Size: 3}}}); err != nil {
		t.Fatal(err)
	}
	for tag, err := range s.TargetTags(ctx, r) {
		t.Log(tag, err)
	}
	for _, n := range []int{0, 1} {
		m, err := s.Locate(ctx, "h", []v1.Hash{d}, n)
		t.Log(m, err)
	}
	h, err := s.Has(ctx, r, []v1.Hash{d})
	t.Log(h, err)
	if err := s.Ask(ctx, state.Ask{Key: "k", Hints: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Take(ctx)
	t.Log(c, err)
	q, err := s.Queue(ctx)
	t.Log(q, err)
	if err := s.Done(ctx, c, nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.SetStanding(ctx, state.Standing{Rule: "x", Source: r, Target: r}, []state.Item{{Tag: "a", Kind: "k"}}); err != nil {
		t.Fatal(err)
	}
	st, err := s.Standings(ctx, "")
	t.Log(st, err)
	it, err := s.Items(ctx, "x", 1)
	t.Log(it, err)
	id, err := s.BeginPass(ctx, state.Pass{Rule: "x", Started: time.Now()})
	t.Log(id, err)
	if err := s.EndPass(ctx, state.Pass{ID: id, Ended: time.Now(), Outcome: state.Succeeded}); err != nil {
		t.Fatal(err)
	}
	ps, err := s.Passes(ctx, "x", 1)
	t.Log(ps, err)
	n, err := s.Prune(ctx, time.Now().Add(time.Hour))
	t.Log(n, err)
	if _, err := Open(ctx, path, Options{}); err == nil {
		t.Fatal("two")
	} else {
		t.Log(err)
	}
	ro, err := Open(ctx, path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(ro.DropUpload(ctx, r, d))
	ro.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Log(s.Close(), s.DropUpload(ctx, r, d))
	s, err = Open(ctx, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}
