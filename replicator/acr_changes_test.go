package replicator

import (
	"fmt"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/state"
)

// bigACR is two ACRs that hold the same repositories of so many tags, pushed one a
// minute in the past, and a pass that has learned so.
func bigACR(t *testing.T, repos, tags int) *acrRig {
	t.Helper()
	r := newACRRig(t, nil, nil, nil)
	first := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range repos {
		repo := bigRepo(i)
		for j := range tags {
			for name := range r.acrs {
				if err := r.servers[name].Load(repo, bigImage(repo, j), fmt.Sprintf("v%05d", j)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for j := range tags { // once all are there: each look at them sorts what is new
			for _, s := range r.acrs {
				at := first.Add(time.Duration(j) * 3 * time.Minute)
				s.SetPushed(repo, bigImage(repo, j).Digest, at)
				s.SetTagged(repo, fmt.Sprintf("v%05d", j), at)
			}
		}
	}
	reports, _ := r.pass()
	r.fine(reports)
	r.again()
	return r
}

func bigRepo(i int) string { return fmt.Sprintf("team/big-%02d", i) }

func bigImage(repo string, j int) *content.Manifest { return content.Image(fmt.Sprint(repo, j), nil) }

// again is a minute later, with nothing counted.
func (r *acrRig) again() {
	r.now = r.now.Add(time.Minute)
	for _, s := range r.acrs {
		s.ResetCalls()
	}
}

// asks wants so many lists of tags and of manifests at a side.
func (r *acrRig) asks(name string, tags, manifests int64) {
	r.t.Helper()
	if c := r.acrs[name].Calls(); c["tags"] != tags || c["manifests"] != manifests {
		r.t.Errorf("%s: %d lists of tags and %d of manifests, want %d and %d", name, c["tags"], c["manifests"], tags, manifests)
	}
}

// TestACRChanges: of large repositories that did not change a target is asked one
// call for each, whatever their length; a source one more, for signatures. By default
// 2,400 tags in two repositories, with TRANSSHIP_LONG=1 100,000 in 50.
func TestACRChanges(t *testing.T) {
	repos, tags := scale(2, 50), scale(1200, 2000)
	r := bigACR(t, repos, tags)
	for range 2 {
		reports, counts := r.pass()
		r.fine(reports)
		r.asks("src", int64(repos), int64(repos))
		r.asks("one", int64(repos), 0)
		for name, n := range counts {
			t.Logf("%d tags in %d repositories, %s: %v", repos*tags, repos, name, r.acrs[name].Calls())
			if n.Total() != n.Of(registrytest.Other) {
				t.Errorf("%s is asked for more than lists:\n%s", name, n)
			}
		}
		r.again()
	}
}

// TestACRChangesFollowed: what changes at the source is brought when only changes are
// asked for: a new tag, one that was moved to content that is old at both sides, one
// that was moved twice in a moment, a signature of an old image.
func TestACRChangesFollowed(t *testing.T) {
	r := bigACR(t, 1, 1200)
	repo := bigRepo(0)
	r.load(repo, content.Image("new", []content.Blob{content.Layer("l", 100)}), "new")
	r.load(repo, bigImage(repo, 5), "v00007")
	moment := time.Now()
	for i := range 2 {
		r.load(repo, content.Image(fmt.Sprint("twice", i), nil), "v00009")
		r.acrs["src"].SetTagged(repo, "v00009", moment)
		r.load(repo, content.Image(fmt.Sprint("sig", i), nil, content.Subject(bigImage(repo, 3))))
		reports, counts := r.pass()
		r.fine(reports)
		r.same()
		r.asks("src", 1, 1)
		r.asks("one", 1, 0)
		if n := counts["one"]; n.Of(registrytest.Tags) != 0 || n.Of(registrytest.ManifestHead) > 3 {
			t.Errorf("the target was asked\n%s", n)
		}
		r.again()
	}
	reports, counts := r.pass()
	r.fine(reports)
	if n := counts["one"]; n.Total() != n.Of(registrytest.Other) {
		t.Errorf("an unchanged pass after that asks the target\n%s", n)
	}
	r.again()
	r.oldSignature(repo, "v00003", content.Image("sig0", nil, content.Subject(bigImage(repo, 3))).Digest)
}

// oldSignature takes a signature away at the target, and state's belief in its image:
// what refers to that at the source is known, although it is listed no more.
func (r *acrRig) oldSignature(repo, tag string, sig v1.Hash) {
	r.t.Helper()
	one := r.repoAt("one", repo)
	r.acrs["src"].SetPushed(repo, sig, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
	r.remove("one", repo, sig.String())
	if err := r.state.ForgetTags(r.t.Context(), one, []string{tag}); err != nil {
		r.t.Fatal(err)
	}
	if err := r.state.Forget(r.t.Context(), one, []v1.Hash{sig}); err != nil {
		r.t.Fatal(err)
	}
	reports, _ := r.pass()
	r.fine(reports)
	r.asks("src", 1, 1)
	r.same()
}

// TestACRChangesBySweep: a tag that somebody deletes is seen when the lists are read
// whole again, within verifyEvery, and not before; what somebody moves is seen at once.
func TestACRChangesBySweep(t *testing.T) {
	r := bigACR(t, 1, 1200)
	repo := bigRepo(0)
	r.remove("one", repo, "v00004")
	r.remove("src", repo, "v00006")
	if err := r.servers["one"].Load(repo, bigImage(repo, 1), "v00008"); err != nil {
		t.Fatal(err)
	}
	reports, _ := r.pass()
	r.fine(reports)
	if got := r.servers["one"].Tags(repo)["v00008"]; got != bigImage(repo, 8).Digest {
		t.Errorf("v00008 is %s still", got)
	}
	if _, there := r.servers["one"].Tags(repo)["v00004"]; there {
		t.Error("v00004 was missed without a whole list: the test is wrong")
	}
	r.again()
	r.now = r.now.Add(24 * time.Hour)
	reports, _ = r.pass()
	r.fine(reports)
	r.asks("src", 0, 2)
	r.asks("one", 0, 2)
	if _, there := r.servers["one"].Tags(repo)["v00004"]; !there {
		t.Error("v00004 was not restored after a whole list")
	}
	for tag := range r.state.SourceTags(t.Context(), r.repoAt("src", repo)) {
		if tag.Name == "v00006" {
			t.Error("the source's tag that was deleted is still known")
		}
	}
}

// TestACRChangesOutOfOrder: a registry that does not keep to the order is listed
// whole, and not asked for changes again.
func TestACRChangesOutOfOrder(t *testing.T) {
	r := bigACR(t, 1, 1200)
	repo := bigRepo(0)
	for _, s := range r.acrs {
		s.SetTagged(repo, "v00001", time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC))
		s.Configure(func(q *acrtest.Quirks) { q.IgnoreOrder = true })
	}
	r.remove("one", repo, "v00004")
	for i := range int64(2) {
		reports, _ := r.pass()
		r.fine(reports)
		r.asks("src", 1-i, 2)
		r.asks("one", 1-i, 2)
		r.again()
	}
	r.same()
}

// TestACRChangesConflict: a tag that somebody moved and a rule keeps is told of at
// each pass, as long as it is so.
func TestACRChangesConflict(t *testing.T) {
	r := bigACR(t, 1, 1200)
	r.set.Rules[0].OnConflict = "keep"
	repo := bigRepo(0)
	theirs := content.Image("theirs", nil)
	if err := r.servers["one"].Load(repo, theirs, "v00002"); err != nil {
		t.Fatal(err)
	}
	r.acrs["one"].SetTagged(repo, "v00002", time.Now().Add(-time.Hour))
	for pass := range 5 {
		switch pass {
		case 1:
			r.load(repo, content.Image("later", nil), "later")
		case 3:
			r.now = r.now.Add(24 * time.Hour)
		}
		r.pass()
		items, err := r.state.Items(t.Context(), "all", 10)
		if err != nil || len(items) != 1 || items[0].Kind != "conflict" || items[0].Tag != "v00002" || r.servers["one"].Tags(repo)["v00002"] != theirs.Digest {
			t.Fatalf("pass %d: %+v (%v)", pass, items, err)
		}
		r.again()
	}
}

// TestACRChangesManyUnknown: where state does not know many of the target's tags, the
// list is read whole instead of asking for each.
func TestACRChangesManyUnknown(t *testing.T) {
	r := bigACR(t, 1, 1200)
	repo := bigRepo(0)
	var names []string
	for j := range 50 {
		names = append(names, fmt.Sprintf("v%05d", j))
	}
	if err := r.state.ForgetTags(t.Context(), r.repoAt("one", repo), names); err != nil {
		t.Fatal(err)
	}
	reports, counts := r.pass()
	r.fine(reports)
	r.asks("one", 1, 2)
	if n := counts["one"].Of(registrytest.ManifestHead); n != 0 {
		t.Errorf("%d tags were asked for one by one", n)
	}
}

// repoAt is a repository as state knows it.
func (r *acrRig) repoAt(name, repo string) state.Repo {
	return state.Repo{Host: r.clients[name].Host(), Name: repo}
}
