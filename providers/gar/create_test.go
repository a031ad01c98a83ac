package gar

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

const cleanup = `[{"name": "old", "action": {"type": "Delete"}, "condition": {"tagState": "untagged", "olderThan": "30d"}},
 {"name": "keep", "action": {"type": "Keep"}, "mostRecentVersions": {"keepCount": 5, "packageNamePrefixes": ["app"]}}]`

var settings = Create{KMSKey: "projects/acme/key", ImmutableTags: true, CleanupPolicies: []byte(cleanup),
	Labels: map[string]string{"team": "a"}, Description: "mirror"}

// made wants a repository to have the settings above.
func made(t *testing.T, s *gartest.Server, key string) {
	t.Helper()
	got, ok := s.Settings(key)
	if !ok || got.Format != "DOCKER" || !got.ImmutableTags || got.Description != "mirror" || got.Labels["team"] != "a" {
		t.Errorf("%s: %+v", key, got)
	}
	var policies map[string]struct {
		ID        string
		Condition struct{ OlderThan string }
		Recent    struct{ KeepCount int } `json:"mostRecentVersions"`
	}
	if err := json.Unmarshal(got.CleanupPolicies, &policies); err != nil || policies["old"].Condition.OlderThan != "2592000s" || policies["keep"].Recent.KeepCount != 5 {
		t.Errorf("%s: policies %s (%v)", key, got.CleanupPolicies, err)
	}
}

// TestEnsure: what is made on demand has the policy's settings, is made once
// however many images ask, and is asked about once.
func TestEnsure(t *testing.T) {
	s := gartest.New(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	r := open(t, s, func(o *Options) { o.Create = settings })
	var g sync.WaitGroup
	for i := range 20 {
		g.Go(func() {
			if err := r.Ensure(t.Context(), fmt.Sprint("acme/mirror/app", i)); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	made(t, s, "acme/mirror")
	if got, _ := s.Settings("acme/mirror"); got.KMSKey != "projects/acme/key" {
		t.Errorf("made with the key %q", got.KMSKey)
	}
	if calls := s.Calls(); calls["CreateRepository"] != 1 || calls["GetRepository"] != 1 {
		t.Errorf("calls %v", calls)
	}
}

// TestTwoReplicas make the same repositories at once, slowly, and neither fails;
// each pushes at once.
func TestTwoReplicas(t *testing.T) {
	s := gartest.New(t, gartest.Options{Quirks: func(q *gartest.Quirks) { q.SlowCreate = 3 }})
	signedIn(t, s, s.IAM().Account("sync"))
	m := content.Image("x", nil)
	var g sync.WaitGroup
	for i := range 6 {
		r := open(t, s, func(o *Options) { o.Create = settings })
		g.Go(func() {
			for j := range 3 {
				repo := fmt.Sprintf("acme/mirror%d/app%d", j, i)
				if err := r.Ensure(t.Context(), repo); err != nil {
					t.Error(err)
				}
				for _, b := range m.Blobs {
					if _, err := r.Put(t.Context(), repo, b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	g.Wait()
	for j := range 3 {
		made(t, s, fmt.Sprint("acme/mirror", j))
	}
}

// TestMadeAgain: a repository that was deleted under us is made again, once a push
// has found that.
func TestMadeAgain(t *testing.T) {
	s := gartest.New(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	r := open(t, s)
	if err := r.Ensure(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	cleanUp(t, r, r.host.place(app))
	if err := r.TryPush(t.Context(), app); providers.KindOf(err) != providers.NotFound {
		t.Errorf("push to what was deleted: %v", err)
	}
	if err := r.Ensure(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	if err := r.TryPush(t.Context(), app); err != nil {
		t.Error(err)
	}
}

// TestDeletedMeanwhile: the pushes themselves have it made anew, once.
func TestDeletedMeanwhile(t *testing.T) {
	for _, never := range []bool{false, true} {
		s := gartest.New(t, gartest.Options{})
		signedIn(t, s, s.IAM().Account("sync"))
		if err := open(t, s).Ensure(t.Context(), app); err != nil {
			t.Fatal(err)
		}
		r := open(t, s, func(o *Options) { o.Create.Never = never })
		if err := r.Ensure(t.Context(), app); err != nil {
			t.Fatal(err)
		}
		cleanUp(t, r, r.host.place(app))
		s.ResetCalls()
		var g sync.WaitGroup
		for i := range 8 {
			g.Go(func() {
				b := content.Layer(fmt.Sprint(i), 1000)
				_, err := r.Put(t.Context(), app, b.Descriptor, b.Content, providers.UploadOptions{})
				if never != (providers.KindOf(err) == providers.NotFound) || !never && err != nil {
					t.Errorf("never %v: %v", never, err)
				}
			})
		}
		g.Wait()
		if made := s.Calls()["CreateRepository"]; made != map[bool]int64{false: 1}[never] {
			t.Errorf("never %v: made %d times", never, made)
		}
	}
}

// TestEnsureLeavesAlone: a repository that is there stays as it is, unless enforced;
// then only what differs is set, and what the policy does not state stays.
func TestEnsureLeavesAlone(t *testing.T) {
	s := gartest.New(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	before := gartest.Settings{Description: "ours", Labels: map[string]string{"cost": "1"}}
	s.Repository("acme/mirror", before)
	ensure := func(enforce bool) {
		t.Helper()
		r := open(t, s, func(o *Options) { o.Create = settings; o.Create.Enforce = enforce })
		if err := r.Ensure(t.Context(), app); err != nil {
			t.Fatal(err)
		}
	}
	ensure(false)
	if got, _ := s.Settings("acme/mirror"); !reflect.DeepEqual(got, before) {
		t.Errorf("changed to %+v", got)
	}
	ensure(true)
	s.Configure(func(*gartest.Quirks) {})
	if got, _ := s.Settings("acme/mirror"); got.Labels["cost"] != "1" || got.KMSKey != "" || !got.ImmutableTags || got.Description != "mirror" {
		t.Errorf("set to %+v", got)
	}
	s.ResetCalls()
	ensure(true)
	if n := s.Calls()["UpdateRepository"]; n != 0 {
		t.Errorf("%d updates although nothing differs", n)
	}
}

// TestNoPlaceForImages: what takes no pushes, and paths that are too short.
func TestNoPlaceForImages(t *testing.T) {
	s := gartest.New(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	s.Repository("acme/virtual", gartest.Settings{Mode: "VIRTUAL_REPOSITORY"})
	s.Repository("acme/remote", gartest.Settings{Mode: "REMOTE_REPOSITORY"})
	s.Repository("acme/maven", gartest.Settings{Format: "MAVEN"})
	r := open(t, s)
	for repo, want := range map[string]providers.Kind{"acme/virtual/app": providers.Unsupported, "acme/remote/app": providers.Unsupported,
		"acme/maven/app": providers.Unsupported, "acme/mirror": providers.Invalid} {
		err := r.Ensure(t.Context(), repo)
		if providers.KindOf(err) != want || providers.HintOf(err) == "" {
			t.Errorf("%s: %v, want %s", repo, err, want)
		}
	}
	never := open(t, s, func(o *Options) { o.Create.Never = true })
	if err := never.Ensure(t.Context(), "acme/absent/app"); providers.KindOf(err) != providers.NotFound || !strings.Contains(err.Error(), "create.never") {
		t.Errorf("never: %v", err)
	}
}

// TestMissingOrDenied: what the registry answers alike is told apart.
func TestMissingOrDenied(t *testing.T) {
	s := serve(t, gartest.Options{})
	m := content.Image("x", nil)
	try := func(r *Registry, repo string) map[string]error {
		errs := map[string]error{"push": r.TryPush(t.Context(), repo)}
		_, errs["rows"] = trial.Collect(r.Rows(t.Context(), repo))
		_, errs["head"] = r.Head(t.Context(), repo, "v1")
		_, errs["manifest"] = r.Manifest(t.Context(), repo, "v1")
		_, errs["stat"] = r.Stat(t.Context(), repo, m.Blobs[0].Digest)
		_, errs["put"] = r.PutManifest(t.Context(), repo, "v1", m.Manifest, providers.PutOptions{})
		return errs
	}
	signedIn(t, s, s.IAM().Account("sync"))
	for what, err := range try(open(t, s), "acme/absent/app") {
		if providers.KindOf(err) != providers.NotFound || !strings.Contains(providers.HintOf(err), "acme/absent") {
			t.Errorf("%s where no repository is: %v; %s", what, err, providers.HintOf(err))
		}
	}
	if n := s.Calls()["GetRepository"]; n != 1 {
		t.Errorf("%d questions about one repository", n)
	}
	signedIn(t, s, s.IAM().Account("lister", "artifactregistry.*.list", "artifactregistry.repositories.list", "artifactregistry.repositories.get"))
	for what, err := range try(open(t, s), app) {
		if providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "grant artifactregistry.repositories.") {
			t.Errorf("%s without the permission: %v; %s", what, err, providers.HintOf(err))
		}
	}
	signedIn(t, s, s.IAM().Account("blind", "artifactregistry.repositories.downloadArtifacts"))
	err := open(t, s).TryPush(t.Context(), app)
	if providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "make the repository, or grant artifactregistry.repositories.uploadArtifacts") {
		t.Errorf("not allowed to look: %v; %s", err, providers.HintOf(err))
	}
	if err := open(t, s).Ensure(t.Context(), app); err != nil {
		t.Errorf("whoever may not look: %v", err)
	}
}

// TestListButNotPush: an account that may list says so when it is to push, and what
// the registry needs is in Permissions.
func TestListButNotPush(t *testing.T) {
	s := serve(t, gartest.Options{})
	grants := func(r *Registry, push bool) (all []string) {
		for line := range strings.Lines(r.Permissions(push)) {
			if p, ok := strings.CutPrefix(strings.TrimSpace(line), "- "); ok {
				all = append(all, p)
			}
		}
		return all
	}
	clean(t)
	reader := s.IAM().Account("reader", grants(open(t, s), false)...)
	signedIn(t, s, reader)
	r := open(t, s)
	works(t, r, reader, "")
	if rows, err := trial.Collect(r.Rows(t.Context(), app)); err != nil || len(rows) != 1 {
		t.Errorf("%d rows (%v)", len(rows), err)
	}
	err := r.TryPush(t.Context(), app)
	if providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "uploadArtifacts on projects/acme/locations/europe-west1/repositories/mirror") {
		t.Errorf("push as a reader: %v; %s", err, providers.HintOf(err))
	}
	signedIn(t, s, s.IAM().Account("writer", grants(open(t, s), true)...))
	w := open(t, s)
	if err := w.Ensure(t.Context(), "acme/fresh/app"); err != nil {
		t.Error(err)
	}
	m := content.Image("x", nil)
	for _, b := range m.Blobs {
		if _, err := w.Put(t.Context(), "acme/fresh/app", b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
			t.Error(err)
		}
	}
	if _, err := w.PutManifest(t.Context(), "acme/fresh/app", "v1", m.Manifest, providers.PutOptions{}); err != nil {
		t.Error(err)
	}
}

func TestCleanupPolicies(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:              "cannot unmarshal",
		`[{"name": "x"}]`: "Delete or Keep",
		`[{"name": "x", "action": {"type": "Delete"}}]`:                                       "one of condition",
		`[{"name": "x", "action": {"type": "Delete"}, "condition": {"tagState": "odd"}}]`:     "tagState",
		`[{"name": "x", "action": {"type": "Keep"}, "condition": {"olderThan": "a while"}}]`:  "30d",
		`[{"name": "x", "action": {"type": "Keep"}, "condition": {"olderThan": "1d"}}, "no"]`: "cannot unmarshal",
	} {
		if _, err := parseCleanup([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if p, err := parseCleanup([]byte(cleanup)); err != nil || len(p) != 2 {
		t.Errorf("%v (%v)", p, err)
	}
}
