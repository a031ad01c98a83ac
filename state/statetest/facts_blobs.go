package statetest

import (
	"fmt"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
)

func present(digests ...v1.Hash) []state.Present {
	var list []state.Present
	for i, d := range digests {
		list = append(list, state.Present{Digest: d, Size: int64(i)})
	}
	return list
}

func testLocate(t *testing.T, s state.Store) {
	ctx, base, own, none := t.Context(), hash("base"), hash("own"), hash("none")
	for _, name := range []string{"c", "a", "b"} {
		check(t, s.Put(ctx, state.Record{Repo: repo(name), Present: present(base, base)}))
	}
	check(t, s.Put(ctx, state.Record{Repo: repo("a"), Present: present(own)}))
	check(t, s.Put(ctx, state.Record{Repo: state.Repo{Host: "else.example", Name: "z"}, Present: present(base)}))

	host, ask := repo("").Host, []v1.Hash{own, none, base, base}
	equal(t, "all, sorted", must(s.Locate(ctx, host, ask, 0))(t), map[v1.Hash][]string{base: {"a", "b", "c"}, own: {"a"}})
	equal(t, "limit above", must(s.Locate(ctx, host, ask, 9))(t), map[v1.Hash][]string{base: {"a", "b", "c"}, own: {"a"}})
	equal(t, "elsewhere", must(s.Locate(ctx, "else.example", ask, 0))(t), map[v1.Hash][]string{base: {"z"}})
	equal(t, "unknown host", must(s.Locate(ctx, "never.example", ask, 1))(t), map[v1.Hash][]string{})
	equal(t, "no digests", must(s.Locate(ctx, host, nil, 1))(t), map[v1.Hash][]string{})
	equal(t, "of several the one known longest", must(s.Locate(ctx, host, ask, 1))(t), map[v1.Hash][]string{base: {"c"}, own: {"a"}})
	equal(t, "two of three", must(s.Locate(ctx, host, ask, 2))(t), map[v1.Hash][]string{base: {"a", "c"}, own: {"a"}})

	check(t, s.Forget(ctx, repo("c"), []v1.Hash{base, none}))
	equal(t, "forgotten in one", must(s.Locate(ctx, host, ask, 1))(t), map[v1.Hash][]string{base: {"a"}, own: {"a"}})
	equal(t, "not elsewhere", must(s.Locate(ctx, "else.example", ask, 0))(t), map[v1.Hash][]string{base: {"z"}})
}

func testHas(t *testing.T, s state.Store) {
	ctx, a, b := t.Context(), repo("a"), repo("b")
	one, two := hash("1"), hash("2")
	check(t, s.Put(ctx, state.Record{Repo: a, Present: present(one)}))
	check(t, s.Put(ctx, state.Record{Repo: b, Present: present(two)}))
	equal(t, "a", must(s.Has(ctx, a, []v1.Hash{one, two, one}))(t), map[v1.Hash]bool{one: true})
	equal(t, "nothing asked", must(s.Has(ctx, a, nil))(t), map[v1.Hash]bool{})
	equal(t, "unknown", must(s.Has(ctx, repo("c"), []v1.Hash{one}))(t), map[v1.Hash]bool{})
	check(t, s.Forget(ctx, a, []v1.Hash{one, two}))
	equal(t, "forgotten", must(s.Has(ctx, a, []v1.Hash{one, two}))(t), map[v1.Hash]bool{})
	equal(t, "b", must(s.Has(ctx, b, []v1.Hash{one, two}))(t), map[v1.Hash]bool{two: true})
	check(t, s.Put(ctx, state.Record{Repo: a, Present: present(one)}))
	equal(t, "known again", must(s.Has(ctx, a, []v1.Hash{one, two}))(t), map[v1.Hash]bool{one: true})
}

func testManyDigests(t *testing.T, s state.Store) {
	ctx, r := t.Context(), repo("a")
	var digests []v1.Hash
	for i := range 1201 {
		digests = append(digests, hash(fmt.Sprint(i)))
	}
	check(t, s.Put(ctx, state.Record{Repo: r, Present: present(digests...)}))
	equal(t, "has", len(must(s.Has(ctx, r, digests))(t)), len(digests))
	equal(t, "located", len(must(s.Locate(ctx, r.Host, digests, 1))(t)), len(digests))
	check(t, s.Forget(ctx, r, digests[1:]))
	equal(t, "left", must(s.Has(ctx, r, digests))(t), map[v1.Hash]bool{digests[0]: true})
	check(t, s.SetChecked(ctx, r, at(1), digests))
	equal(t, "checked", len(must(s.Checked(ctx, r, digests))(t)), len(digests))
}

// A digest comes back as it was, whatever its algorithm.
func testDigests(t *testing.T, s state.Store) {
	ctx, r := t.Context(), repo("a")
	for i, d := range []v1.Hash{
		{},
		hash("x"),
		{Algorithm: "sha512", Hex: hash("x").Hex + hash("y").Hex},
		{Algorithm: "sha256", Hex: "short"},
		{Algorithm: "x", Hex: "123456789012345678901234567890"}, // 32 bytes of text
	} {
		name := fmt.Sprint("v", i)
		check(t, s.Put(ctx, state.Record{Repo: r, Tags: []state.TargetTag{{Name: name, Digest: d}}}))
		tags := all(t, s.TargetTags(ctx, r))
		equal(t, "digest", tags[len(tags)-1], state.TargetTag{Name: name, Digest: d})
	}
}

func testChecked(t *testing.T, s state.Store) {
	ctx, a := t.Context(), repo("a")
	one, two, three := hash("1"), hash("2"), hash("3")
	equal(t, "never", must(s.Checked(ctx, a, []v1.Hash{one}))(t), map[v1.Hash]time.Time{})
	check(t, s.SetChecked(ctx, a, at(1), []v1.Hash{one, two, one}))
	check(t, s.SetChecked(ctx, a, at(2), []v1.Hash{two}))
	check(t, s.SetChecked(ctx, a, at(3), nil))
	equal(t, "checked", must(s.Checked(ctx, a, []v1.Hash{one, two, three}))(t), map[v1.Hash]time.Time{one: at(1), two: at(2)})
	equal(t, "elsewhere", must(s.Checked(ctx, repo("b"), []v1.Hash{one}))(t), map[v1.Hash]time.Time{})
}

func testSubjects(t *testing.T, s state.Store) {
	ctx, a := t.Context(), repo("a")
	sig, plain, image := hash("sig"), hash("plain"), hash("image")
	equal(t, "never", must(s.Subjects(ctx, a, []v1.Hash{sig}))(t), map[v1.Hash]v1.Hash{})
	check(t, s.SetSubjects(ctx, a, map[v1.Hash]v1.Hash{sig: image, plain: {}}))
	check(t, s.SetSubjects(ctx, a, nil))
	equal(t, "read", must(s.Subjects(ctx, a, []v1.Hash{sig, plain, image}))(t), map[v1.Hash]v1.Hash{sig: image, plain: {}})
	check(t, s.SetSubjects(ctx, a, map[v1.Hash]v1.Hash{plain: image}))
	equal(t, "replaced", must(s.Subjects(ctx, a, []v1.Hash{plain}))(t), map[v1.Hash]v1.Hash{plain: image})
	equal(t, "elsewhere", must(s.Subjects(ctx, repo("b"), []v1.Hash{sig}))(t), map[v1.Hash]v1.Hash{})
}

func testReferring(t *testing.T, s state.Store) {
	ctx, a := t.Context(), repo("a")
	sig, sbom, plain, image := hash("sig"), hash("sbom"), hash("plain"), hash("image")
	equal(t, "none", must(s.Referring(ctx, a))(t), map[v1.Hash]v1.Hash{})
	check(t, s.SetSubjects(ctx, a, map[v1.Hash]v1.Hash{sig: image, sbom: image, plain: {}}))
	equal(t, "those with a subject", must(s.Referring(ctx, a))(t), map[v1.Hash]v1.Hash{sig: image, sbom: image})
	equal(t, "elsewhere", must(s.Referring(ctx, repo("b")))(t), map[v1.Hash]v1.Hash{})
	check(t, s.ForgetSubjects(ctx, repo("b"), []v1.Hash{sig}))
	check(t, s.ForgetSubjects(ctx, a, []v1.Hash{sig, plain}))
	check(t, s.ForgetSubjects(ctx, a, nil))
	equal(t, "what is left", must(s.Subjects(ctx, a, []v1.Hash{sig, sbom, plain}))(t), map[v1.Hash]v1.Hash{sbom: image})
}

func testMarks(t *testing.T, s state.Store) {
	ctx, a := t.Context(), repo("a")
	equal(t, "never", must(s.Mark(ctx, a, state.Target))(t), state.Mark{})
	m := state.Mark{Tags: at(1), Manifests: at(2), Swept: at(3)}
	check(t, s.SetMark(ctx, a, state.Target, m))
	equal(t, "recorded", must(s.Mark(ctx, a, state.Target))(t), m)
	equal(t, "of the other side", must(s.Mark(ctx, a, state.Source))(t), state.Mark{})
	equal(t, "elsewhere", must(s.Mark(ctx, repo("b"), state.Target))(t), state.Mark{})
	check(t, s.SetMark(ctx, a, state.Target, state.Mark{Swept: at(9)}))
	equal(t, "replaced", must(s.Mark(ctx, a, state.Target))(t), state.Mark{Swept: at(9)})
}
