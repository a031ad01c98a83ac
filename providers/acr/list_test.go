package acr

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestRows: children and untagged referrers are told apart from images by having
// no tag, and the times are the digest's and that of its one tag.
func TestRows(t *testing.T) {
	unset(t)
	s := acrtest.New(t, acrtest.Options{})
	child := content.Image("x", []content.Blob{content.Layer("l", 5000)})
	ix := content.Index([]*content.Manifest{child})
	sig := content.Refer(ix, "application/x.sig", "sig")
	two := content.Image("two", nil)
	trial.Load(t, s, "team/app", ix, "v1")
	trial.Load(t, s, "team/app", two, "a", "b")
	pushed, moved := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2026, 2, 3, 4, 5, 6, 700, time.UTC)
	for _, m := range []*content.Manifest{child, ix, sig, two} {
		s.SetPushed("team/app", m.Digest, pushed)
	}
	s.SetTagged("team/app", "v1", moved)
	rows, err := trial.Collect(open(t, s, app(s)).Rows(t.Context(), "team/app"))
	if err != nil || len(rows) != 4 {
		t.Fatalf("%d rows (%v)", len(rows), err)
	}
	for _, row := range rows {
		var ok bool
		switch row.Digest {
		case ix.Digest:
			ok = slices.Equal(row.Tags, []string{"v1"}) && row.MediaType == ix.MediaType && row.Tagged.Equal(moved)
		case child.Digest:
			ok = len(row.Tags) == 0 && row.MediaType == child.MediaType && row.Size >= 5000 && row.Tagged.IsZero()
		case sig.Digest:
			ok = len(row.Tags) == 0 && row.MediaType == sig.MediaType
		case two.Digest:
			ok = slices.Equal(row.Tags, []string{"a", "b"}) && row.Tagged.IsZero() // nobody says which was moved when
		}
		if !ok || !row.Pushed.Equal(pushed) {
			t.Errorf("row %+v", row)
		}
	}
}

// tagsOf is tag to digest, as rows tell it.
func tagsOf(t *testing.T, rows []providers.Row) map[string]string {
	t.Helper()
	tags := map[string]string{}
	for _, row := range rows {
		for _, tag := range row.Tags {
			if _, twice := tags[tag]; twice {
				t.Errorf("tag %s is listed twice", tag)
			}
			tags[tag] = row.Digest.String()
		}
	}
	return tags
}

// TestManyTags: a manifest whose tags are cut off in the list of manifests has its
// tags listed, alone where few are so, else with all others.
func TestManyTags(t *testing.T) {
	for name, tt := range map[string]struct {
		many, tags  int // manifests with many tags, and how many
		few         int // manifests with one
		manifests   int64
		tagsListing int64
	}{
		"nine are all":  {3, 9, 5, 1, 0},
		"one of twelve": {1, 12, 5, 1, 1},
		"two of twelve": {2, 12, 5, 1, 1},
		"one of 2500":   {1, 2500, 5, 1, 3},
	} {
		t.Run(name, func(t *testing.T) {
			unset(t)
			s := acrtest.New(t, acrtest.Options{})
			want := 0
			for i := range tt.many {
				var tags []string
				for j := range tt.tags {
					tags = append(tags, fmt.Sprintf("m%d-%04d", i, j))
				}
				trial.Load(t, s, "app", content.Image(fmt.Sprint("many", i), nil), tags...)
				want += tt.tags
			}
			for i := range tt.few {
				trial.Load(t, s, "app", content.Image(fmt.Sprint("few", i), nil), fmt.Sprint("f", i))
				want++
			}
			rows, err := trial.Collect(open(t, s, app(s)).Rows(t.Context(), "app"))
			if err != nil {
				t.Fatal(err)
			}
			tags := tagsOf(t, rows)
			for tag, digest := range s.Tags("app") {
				if tags[tag] != digest.String() {
					t.Fatalf("tag %s is %s, want %s", tag, tags[tag], digest)
				}
			}
			if calls := s.Calls(); len(tags) != want || calls["manifests"] != tt.manifests || calls["tags"] != tt.tagsListing {
				t.Errorf("%d tags of %d, by %v", len(tags), want, calls)
			}
		})
	}
}

// TestListsAreCheap: a thousand rows a call, one call more for each repository, no
// request to the registry itself, and a token for tens of repositories. By default
// 4,000 tags in 200 repositories, with TRANSSHIP_LONG=1 100,000 in 1,000.
func TestListsAreCheap(t *testing.T) {
	repos, tags := 200, 20
	if os.Getenv("TRANSSHIP_LONG") == "1" {
		repos, tags = 1000, 100
	}
	unset(t)
	s := acrtest.New(t, acrtest.Options{})
	for i := range repos {
		for j := range tags {
			m := content.Image(fmt.Sprint(i, j), nil)
			if err := s.LoadManifest(fmt.Sprintf("team-%02d/application-%04d", i%20, i), m.Manifest, fmt.Sprint("v", j)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, push := range map[string]bool{"source": false, "target": true} {
		t.Run(name, func(t *testing.T) {
			s.ResetCalls()
			s.ResetCounts()
			r := open(t, s, app(s), func(o *Options) { o.OCI.Push = push })
			names, err := trial.Collect(r.Repositories(t.Context(), ""))
			if err != nil || len(names) != repos {
				t.Fatalf("%d repositories (%v)", len(names), err)
			}
			r.Expect(names...)
			listAll(t, r, names, tags)
			calls := s.Calls()
			t.Logf("%d tags in %d repositories: %v", repos*tags, repos, calls)
			if calls["manifests"] > int64(repos) || calls["tags"] != 0 || calls["catalog"] > int64(repos/1000+1) {
				t.Errorf("%v to list %d repositories", calls, repos)
			}
			if calls["token"] > int64(repos/20+2) || calls["exchange"] != 1 {
				t.Errorf("%v for %d repositories, want at most %d tokens", calls, repos, repos/20+2)
			}
			if n := s.Counts(); n.Total() != n.Of(registrytest.Other) {
				t.Errorf("requests to the registry:\n%s", n)
			}
			// Pulling from all of them takes no token more.
			for _, name := range names {
				if _, err := r.Head(t.Context(), name, "v0"); err != nil {
					t.Fatal(err)
				}
			}
			if again := s.Calls(); again["token"] != calls["token"] {
				t.Errorf("pulling took %d tokens more", again["token"]-calls["token"])
			}
		})
	}
}

func listAll(t *testing.T, r *Registry, names []string, tags int) {
	t.Helper()
	var g sync.WaitGroup
	next := make(chan string)
	for range 8 {
		g.Go(func() {
			for name := range next {
				rows, err := trial.Collect(r.Rows(t.Context(), name))
				if err != nil || len(rows) != tags {
					t.Errorf("%s: %d rows (%v)", name, len(rows), err)
				}
			}
		})
	}
	for _, name := range names {
		next <- name
	}
	close(next)
	g.Wait()
}

// TestExpect: repositories that are expected share tokens, those that are not yet
// there too, and where the catalog may not be read; others have their own.
func TestExpect(t *testing.T) {
	unset(t)
	s := acrtest.New(t, acrtest.Options{Quirks: func(q *acrtest.Quirks) { q.ABAC = true }})
	var names []string
	for i := range 80 {
		names = append(names, fmt.Sprintf("app-%02d", i))
	}
	writer := app(s, acrtest.RepositoryWriter)
	for _, tt := range []struct {
		expect []string
		least  int64
		most   int64
	}{{names, 2, 80/20 + 2}, {nil, 80, 80}} {
		s.ResetCalls()
		r := open(t, s, writer)
		r.Expect(tt.expect...)
		for _, name := range names {
			layer := content.Layer(name, 100)
			if _, err := r.Put(t.Context(), name, layer.Descriptor, layer.Content, providers.UploadOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if calls := s.Calls(); calls["token"] < tt.least || calls["token"] > tt.most || calls["catalog"] != 0 {
			t.Errorf("%d expected: %v", len(tt.expect), calls)
		}
	}
}

// TestHeaderLimit: names so long that a token for forty would be longer than a
// header may be.
func TestHeaderLimit(t *testing.T) {
	unset(t)
	s := acrtest.New(t, acrtest.Options{})
	const repos = 100
	for i := range repos {
		trial.Load(t, s, fmt.Sprintf("%s/app-%03d", strings.Repeat("long-", 24), i), content.Image("x", nil), "v1")
	}
	r := open(t, s, app(s))
	names, err := trial.Collect(r.Repositories(t.Context(), ""))
	if err != nil {
		t.Fatal(err)
	}
	r.Expect(names...)
	for _, name := range names {
		if _, err := trial.Collect(r.Rows(t.Context(), name)); err != nil {
			t.Fatal(err)
		}
	}
	calls := s.Calls()
	t.Logf("%d repositories with names of %d characters: %v", repos, len(names[0]), calls)
	if calls["token"] > repos/20+2 {
		t.Errorf("%d tokens for %d repositories", calls["token"], repos)
	}
}

// TestRepositories: those with the prefix; without the role the hint names it.
func TestRepositories(t *testing.T) {
	s := serve(t, acrtest.Options{Quirks: func(q *acrtest.Quirks) { q.ABAC = true }})
	trial.Load(t, s, "team-b/app", content.Image("y", nil), "v1")
	trial.Load(t, s, "z", content.Image("y", nil), "v1")
	lister := app(s, acrtest.CatalogLister)
	names, err := trial.Collect(open(t, s, lister).Repositories(t.Context(), "team/"))
	if err != nil || !slices.Equal(names, []string{"team/app"}) {
		t.Errorf("%v (%v)", names, err)
	}
	_, err = trial.Collect(open(t, s, app(s, acrtest.RepositoryReader)).Repositories(t.Context(), ""))
	if providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "Catalog Lister") {
		t.Errorf("without the role: %v; %s", err, providers.HintOf(err))
	}
}
