package gitlab

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/gitlab/gitlabtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestRows: tags have their digest, type and the time at which they came or were
// moved, and who refers to a digest is told once.
func TestRows(t *testing.T) {
	s := gitlabtest.New(t, gitlabtest.Options{})
	s.Project("acme/app")
	m := content.Image("x", []content.Blob{content.Layer("l", 1000)})
	sig := content.Refer(m, "application/x.sig", "sig")
	came, moved := time.UnixMilli(1_700_000_000_123), time.UnixMilli(1_700_000_999_456)
	if err := s.Load("acme/app", m, "v1", "latest"); err != nil {
		t.Fatal(err)
	}
	s.SetTagged("acme/app", "v1", came, time.Time{})
	s.SetTagged("acme/app", "latest", came, moved)
	r := open(t, s, as("sync", s.Token("sync", "read_registry")))
	rows, err := trial.Collect(r.Rows(t.Context(), "acme/app"))
	if err != nil || len(rows) != 3 {
		t.Fatalf("rows %+v (%v)", rows, err)
	}
	for _, row := range rows {
		var ok bool
		switch {
		case slices.Equal(row.Tags, []string{"v1"}):
			ok = row.Digest == m.Digest && row.Tagged.Equal(came) && row.MediaType == m.MediaType && row.Size >= 1000
		case slices.Equal(row.Tags, []string{"latest"}):
			ok = row.Digest == m.Digest && row.Tagged.Equal(moved)
		case len(row.Tags) == 0:
			ok = row.Digest == sig.Digest && row.Subject == m.Digest && row.ArtifactType == "application/x.sig"
		}
		if !ok || !row.Pushed.IsZero() {
			t.Errorf("row %+v", row)
		}
	}
	if n := s.Counts(); n.Of(registrytest.ManifestHead)+n.Of(registrytest.ManifestGet) != 0 || s.Calls()["tags"] != 1 {
		t.Errorf("%v", s.Calls())
	}
}

// TestRowsAreCheap: a thousand tags a call, linked by the address of the next page.
func TestRowsAreCheap(t *testing.T) {
	s := gitlabtest.New(t, gitlabtest.Options{})
	s.Project("acme/app")
	m := content.Image("x", nil)
	const tags = 2100
	for i := range tags {
		if err := s.Load("acme/app", m, fmt.Sprint("v", i)); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := trial.Collect(open(t, s, as("sync", s.Token("sync", all...))).Rows(t.Context(), "acme/app"))
	if err != nil || len(rows) != tags {
		t.Fatalf("%d rows (%v)", len(rows), err)
	}
	if calls := s.Calls(); calls["tags"] != 3 || calls["token"] != 1 {
		t.Errorf("%d calls and %d tokens for %d tags", calls["tags"], calls["token"], tags)
	}
}

// TestWithoutMetadata: an old registry of one's own has no API of its own, which is
// found out by one request and told by Caps; its tags are names.
func TestWithoutMetadata(t *testing.T) {
	s := serve(t, gitlabtest.Options{Quirks: func(q *gitlabtest.Quirks) { q.NoMetadata = true }})
	if err := s.Load("acme/app/web", content.Image("y", nil), "v2"); err != nil {
		t.Fatal(err)
	}
	r := open(t, s, as("sync", s.Token("sync", all...)))
	if c, err := r.Caps(t.Context()); err != nil || !c.BulkDigests {
		t.Errorf("before anything was asked: %+v, %v", c, err)
	}
	for repo, tag := range map[string]string{"acme/app/api": "v1", "acme/app/web": "v2"} {
		rows, err := trial.Collect(r.Rows(t.Context(), repo))
		if err != nil || len(rows) != 1 || rows[0].Tags[0] != tag || rows[0].Digest.Hex != "" {
			t.Errorf("%s: %+v (%v)", repo, rows, err)
		}
	}
	c, err := r.Caps(t.Context())
	if err != nil || c.BulkDigests || c.TagTimes || c.Source(providers.CapRows) != providers.Tried {
		t.Errorf("afterwards: %+v, %v", c, err)
	}
	if n := s.Calls()["tags"]; n != 1 {
		t.Errorf("asked %d times for what it has not", n)
	}
	s.Configure(func(q *gitlabtest.Quirks) { q.NoMetadata = false })
	r.bare.Store(0) // a day later
	if rows, err := trial.Collect(r.Rows(t.Context(), "acme/app/api")); err != nil || rows[0].Digest.Hex == "" {
		t.Errorf("after the upgrade: %+v (%v)", rows, err)
	}
}

// TestAbsentIsNotOld: a repository that is not there says nothing about the API.
func TestAbsentIsNotOld(t *testing.T) {
	s := serve(t, gitlabtest.Options{})
	r := open(t, s, as("sync", s.Token("sync", all...)))
	if _, err := trial.Collect(r.Rows(t.Context(), "acme/app/none")); providers.KindOf(err) != providers.NotFound {
		t.Errorf("%v", err)
	}
	if rows, err := trial.Collect(r.Rows(t.Context(), "acme/app/api")); err != nil || rows[0].Digest.Hex == "" {
		t.Errorf("%+v (%v)", rows, err)
	}
}

// TestBrokenRows: what fails in the middle of a list, and what is none.
func TestBrokenRows(t *testing.T) {
	s := serve(t, gitlabtest.Options{})
	r := open(t, s, as("sync", s.Token("sync", all...)))
	for text, kind := range map[string]providers.Kind{`{"tags":[]}`: providers.Invalid, `[{"name":"v1"`: providers.Invalid} {
		s.Fail(1, "tags", gitlabtest.Fault{Status: 200, JSON: text})
		if _, err := trial.Collect(r.Rows(t.Context(), "acme/app/api")); providers.KindOf(err) != kind {
			t.Errorf("%s: %v", text, err)
		}
	}
	s.Fail(1, "tags", gitlabtest.Fault{Status: 200, JSON: `[{"name":"v1","digest":"md5:1","referrers":[{"digest":"none"}]}]`})
	rows, err := trial.Collect(r.Rows(t.Context(), "acme/app/api"))
	if err != nil || len(rows) != 1 || rows[0].Tags[0] != "v1" || rows[0].Digest.Hex != "" {
		t.Errorf("a digest that is none: %+v (%v)", rows, err)
	}
}

// TestRepositories: by a group, a subgroup, a project and an image's path, each with
// as few questions as there are kinds of places.
func TestRepositories(t *testing.T) {
	s := gitlabtest.New(t, gitlabtest.Options{})
	for _, p := range []string{"acme/app", "acme/team/web", "other/app"} {
		s.Project(p)
	}
	for _, repo := range []string{"acme/app", "acme/app/api", "acme/app/api/v2", "acme/team/web/ui", "other/app"} {
		if err := s.Load(repo, content.Image("x", nil), "v1"); err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, s, as("sync", s.Token("sync", all...)))
	for _, tt := range []struct {
		prefix, want string
		calls        int64
	}{
		{"acme/", "acme/app acme/app/api acme/app/api/v2 acme/team/web/ui", 1},
		{"acme/a", "acme/app acme/app/api acme/app/api/v2", 1},
		{"acme/team/", "acme/team/web/ui", 1},
		{"acme/app/", "acme/app/api acme/app/api/v2", 2},
		{"acme/app/api/", "acme/app/api/v2", 3},
		{"acme/none", "", 1},
	} {
		s.ResetCalls()
		got, err := trial.Collect(r.Repositories(t.Context(), tt.prefix))
		if strings.Join(got, " ") != tt.want || err != nil {
			t.Errorf("%s: %v (%v)", tt.prefix, got, err)
		}
		if calls := s.Calls(); calls["group"]+calls["project"] != tt.calls {
			t.Errorf("%s: %v", tt.prefix, calls)
		}
	}
}

// TestManyRepositories: a hundred a page, by Link.
func TestManyRepositories(t *testing.T) {
	s := gitlabtest.New(t, gitlabtest.Options{})
	s.Project("acme/app")
	for i := range 250 {
		s.Create(fmt.Sprint("acme/app/r", i))
	}
	got, err := trial.Collect(open(t, s, as("sync", s.Token("sync", all...))).Repositories(t.Context(), "acme/"))
	if err != nil || len(got) != 250 || s.Calls()["group"] != 3 {
		t.Errorf("%d repositories by %v (%v)", len(got), s.Calls(), err)
	}
}

// TestCannotList: each way in which repositories cannot be listed says what to do.
func TestCannotList(t *testing.T) {
	s := serve(t, gitlabtest.Options{})
	deployUser, deploy := s.DeployToken("acme/app", "read_registry")
	nobody := func(o *Options) { o.OCI.Authenticator = authn.Anonymous }
	member := as("all", s.Token("all", all...))
	for _, tt := range []struct {
		name, prefix string
		change       []func(*Options)
		kind         providers.Kind
		hint         string
	}{
		{"a deploy token", "acme/", []func(*Options){as(deployUser, deploy)}, providers.Denied, "no deploy token"},
		{"a scope that lacks", "acme/", []func(*Options){as("sync", s.Token("sync", "read_registry"))}, providers.Denied, "read_api"},
		{"a group that is not there", "acmee/", []func(*Options){member}, providers.NotFound, "spelling"},
		{"a group of others", "acme/", []func(*Options){nobody}, providers.NotFound, "member"},
		{"everything", "", []func(*Options){member}, providers.Unsupported, "group/**"},
		{"half a group", "ac", []func(*Options){member}, providers.Unsupported, "group/**"},
		{"a GitLab that is not known", "acme/", []func(*Options){func(o *Options) { o.API = "" }}, providers.Unsupported, "apiHost"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := trial.Collect(open(t, s, tt.change...).Repositories(t.Context(), tt.prefix))
			e, ok := errors.AsType[*providers.Error](err)
			if !ok || e.Kind != tt.kind || !strings.Contains(e.Hint, tt.hint) || len(got) != 0 {
				t.Errorf("%v: %v (%+v)", got, err, e)
			}
		})
	}
	if c, err := open(t, s, func(o *Options) { o.API = "" }).Caps(t.Context()); err != nil || c.Catalog != providers.No {
		t.Errorf("without apiHost: %+v (%v)", c, err)
	}
}

// TestPublic: what is public is read and listed by nobody in particular.
func TestPublic(t *testing.T) {
	s := serve(t, gitlabtest.Options{})
	s.Publish("acme/app")
	r := open(t, s, func(o *Options) { o.OCI.Push = false })
	if got, err := trial.Collect(r.Repositories(t.Context(), "acme/")); err != nil || len(got) != 1 {
		t.Errorf("repositories %v (%v)", got, err)
	}
	if rows, err := trial.Collect(r.Rows(t.Context(), "acme/app/api")); err != nil || len(rows) != 1 {
		t.Errorf("rows %v (%v)", rows, err)
	}
}
