package harbor

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/harbor/harbortest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestRows: a hundred artifacts a call with digest and times, and no HEAD; each tag is
// a row of its own, whatever the API tells of further pages.
func TestRows(t *testing.T) {
	for _, noLink := range []bool{false, true} {
		for images, calls := range map[int]int64{1: 1, 99: 1, 100: 1, 101: 2, 250: 3} {
			s := harbortest.New(t, harbortest.Options{Quirks: func(q *harbortest.Quirks) { q.NoLink = noLink }})
			s.Project("acme", harbortest.Project{})
			for i := range images {
				load(t, s, "acme/a/b", content.Image(fmt.Sprint(i), nil), fmt.Sprint("v", i))
			}
			m := content.Image("0", nil)
			load(t, s, "acme/a/b", m, "also")
			pushed, moved := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
			s.SetPushed("acme/a/b", m.Digest, pushed)
			s.SetTagged("acme/a/b", "also", moved)
			rows, err := trial.Collect(robot(t, s, harbortest.On("acme", harbortest.Reader...)).Rows(t.Context(), "acme/a/b"))
			if err != nil || len(rows) != images+1 {
				t.Fatalf("%d images: %d rows (%v)", images, len(rows), err)
			}
			i := slices.IndexFunc(rows, func(row providers.Row) bool { return row.Tags[0] == "also" })
			if i < 0 || rows[i].Digest != m.Digest || !rows[i].Pushed.Equal(pushed) || !rows[i].Tagged.Equal(moved) || rows[i].MediaType != m.MediaType {
				t.Errorf("the row of also: %+v", rows[max(i, 0)])
			}
			if noLink && images == 100 {
				calls++ // a full page may not be the last
			}
			if n := s.Calls()["artifacts"]; n != calls || s.Counts().Of(registrytest.Tags, registrytest.ManifestHead) != 0 {
				t.Errorf("%d images took %d calls, want %d, and %v", images, n, calls, s.Counts().Requests)
			}
		}
	}
}

// TestRowsOfAccessories: signatures and the like are told with what they refer to, and
// the tags that Harbor hides with them, which one list of the registry's tells.
func TestRowsOfAccessories(t *testing.T) {
	s, m := serve(t)
	sbom := content.Refer(m, "application/x.sbom", "sbom")
	load(t, s, "acme/team/app", m, "v1")
	sig := content.Image("cosign's", nil)
	tag := providers.FallbackTag(m.Digest) + ".sig"
	load(t, s, "acme/team/app", sig, tag)
	r := robot(t, s, harbortest.On("acme", harbortest.Reader...))
	rows, err := trial.Collect(r.Rows(t.Context(), "acme/team/app"))
	if err != nil || len(rows) != 3 {
		t.Fatalf("rows %+v (%v)", rows, err)
	}
	for _, row := range rows {
		ok := false
		switch row.Digest {
		case m.Digest:
			ok = slices.Equal(row.Tags, []string{"v1"})
		case sbom.Digest:
			ok = len(row.Tags) == 0 && row.Subject == m.Digest
		case sig.Digest:
			ok = slices.Equal(row.Tags, []string{tag}) && row.Subject.Hex == ""
		}
		if !ok {
			t.Errorf("row %+v", row)
		}
	}
	if n := s.Counts().Of(registrytest.Tags); n != 1 {
		t.Errorf("%d lists of tags, want 1", n)
	}

	// With two signatures only the tag tells which one it names, and only the signature
	// what it refers to.
	second := content.Refer(m, "application/vnd.dev.cosign.artifact.sig.v1+json", "second")
	load(t, s, "acme/team/app", m, "v1")
	rows, err = trial.Collect(r.Rows(t.Context(), "acme/team/app"))
	i := slices.IndexFunc(rows, func(row providers.Row) bool { return slices.Equal(row.Tags, []string{tag}) })
	if err != nil || i < 0 || rows[i].Digest.Hex != "" || !slices.ContainsFunc(rows, func(row providers.Row) bool {
		return row.Digest == second.Digest && row.Subject.Hex == "" && row.ArtifactType != ""
	}) {
		t.Errorf("of two signatures: %+v (%v)", rows, err)
	}
}

// TestRowsWithoutTheAPI: whatever keeps the API from telling, the registry tells; that
// is said once, and the API is not asked again for the project. A repository that is
// not there is none, and no reason to say anything.
func TestRowsWithoutTheAPI(t *testing.T) {
	for why, change := range map[string]func(*harbortest.Server) []string{
		"the robot may not list": func(*harbortest.Server) []string { return []string{harbortest.Pull} },
		"there is no API": func(s *harbortest.Server) []string {
			s.Configure(func(q *harbortest.Quirks) { q.NoAPI = true })
			return harbortest.Reader
		},
	} {
		t.Run(why, func(t *testing.T) {
			s, _ := serve(t)
			may := change(s)
			var said bytes.Buffer
			r := open(t, s, name, s.Robot(name, harbortest.On("acme", may...)), func(o *Options) {
				o.OCI.Logger = slog.New(slog.NewTextHandler(&said, nil))
			})
			if _, err := trial.Collect(r.Rows(t.Context(), "acme/nothing")); providers.KindOf(err) != providers.NotFound || said.Len() > 0 {
				t.Errorf("a repository that is not there: %v; said %s", err, said.String())
			}
			for range 3 {
				rows, err := trial.Collect(r.Rows(t.Context(), "acme/team/app"))
				if err != nil || len(rows) != 1 || rows[0].Tags[0] != "v1" || rows[0].Digest.Hex != "" {
					t.Fatalf("rows %+v (%v)", rows, err)
				}
			}
			if n := s.Calls()["artifacts"]; n > 2 || strings.Count(said.String(), "list artifact") != 1 {
				t.Errorf("asked %d times; said %s", n, said.String())
			}
		})
	}
	s, _ := serve(t)
	s.Fail(9, "artifacts", registrytest.Refusal{Status: 502, Text: "bad gateway"})
	if _, err := trial.Collect(robot(t, s, harbortest.On("acme", harbortest.Reader...)).Rows(t.Context(), "acme/team/app")); providers.KindOf(err) != providers.Unavailable {
		t.Errorf("an API that is away: %v", err)
	}
}

// TestRepositories: of a project, and of all that the account sees, page by page.
func TestRepositories(t *testing.T) {
	s, m := serve(t)
	s.Project("other", harbortest.Project{})
	s.Project("public", harbortest.Project{Public: true})
	for i := range 250 {
		load(t, s, fmt.Sprintf("acme/r%03d", i), m, "v1")
	}
	load(t, s, "other/app", m, "v1")
	load(t, s, "public/app", m, "v1")
	r := robot(t, s, harbortest.On("acme", harbortest.Reader...))
	for prefix, want := range map[string]int{"acme/": 251, "acme/r24": 10, "": 252, "pub": 1} {
		got, err := trial.Collect(r.Repositories(t.Context(), prefix))
		if err != nil || len(got) != want {
			t.Errorf("%q: %d repositories (%v), want %d", prefix, len(got), err, want)
		}
	}
	if n := s.Calls()["repositories"]; n != 12 {
		t.Errorf("%d calls, want 12", n)
	}
	for _, prefix := range []string{"other/", "nope/"} {
		if _, err := trial.Collect(r.Repositories(t.Context(), prefix)); providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "list repository") {
			t.Errorf("%s: %v; %s", prefix, err, providers.HintOf(err))
		}
	}
}

// TestRightIsGiven: a robot that is given the right to list artifacts while we run is
// told of them after an hour, without a restart.
func TestRightIsGiven(t *testing.T) {
	s, m := serve(t)
	r := robot(t, s, harbortest.On("acme", harbortest.Pull))
	digest := func() string {
		rows, err := trial.Collect(r.Rows(t.Context(), "acme/team/app"))
		if err != nil || len(rows) != 1 {
			t.Fatalf("rows %+v (%v)", rows, err)
		}
		return rows[0].Digest.Hex
	}
	if got := digest(); got != "" {
		t.Errorf("without the right: %s", got)
	}
	s.Robot(name, harbortest.On("acme", harbortest.Reader...))
	if got := digest(); got != "" {
		t.Errorf("the API is asked again within the hour: %s", got)
	}
	r.doubt = time.Now().Add(-time.Second)
	if got := digest(); got != m.Digest.Hex {
		t.Errorf("after an hour: %q", got)
	}
}

// TestReferrers: those of a subject that is not there are none, in the words of
// Harbor; a registry older than 2.11 has no API.
func TestReferrers(t *testing.T) {
	s, m := serve(t)
	sig := content.Refer(m, "application/x.sig", "sig")
	load(t, s, "acme/team/app", m, "v1")
	r := robot(t, s, harbortest.On("acme", harbortest.Reader...))
	if list, err := r.Referrers(t.Context(), "acme/team/app", m.Digest); err != nil || len(list) != 1 || list[0].Digest != sig.Digest {
		t.Errorf("referrers %+v (%v)", list, err)
	}
	for _, repo := range []string{"acme/team/app", "acme/nothing"} {
		if list, err := r.Referrers(t.Context(), repo, content.Hash([]byte("absent"))); err != nil || len(list) != 0 {
			t.Errorf("of what is not in %s: %+v (%v)", repo, list, err)
		}
	}
	s.Set(func(q *registrytest.Quirks) { q.NoReferrers = true })
	if _, err := r.Referrers(t.Context(), "acme/team/app", m.Digest); providers.KindOf(err) != providers.Unsupported {
		t.Errorf("of an old one: %v", err)
	}
}

// TestVersion: the version tells whether there is a referrers API, is asked for once,
// and is not told to nobody.
func TestVersion(t *testing.T) {
	for version, want := range map[string]providers.Tri{"v2.13.1-9f3b": providers.Yes, "v2.11.0-1": providers.Yes, "v2.10.2-2": providers.No,
		"v1.10.18": providers.No, "v3.0.0": providers.Yes, "": providers.Maybe, "latest": providers.Maybe} {
		s, _ := serve(t)
		s.Configure(func(q *harbortest.Quirks) { q.Version = version })
		r := robot(t, s)
		for range 2 {
			if c, err := r.Caps(t.Context()); err != nil || c.Referrers != want || want != providers.Maybe && c.Source(providers.CapReferrers) != providers.Account {
				t.Errorf("%q: %v by %s (%v), want %v", version, c.Referrers, c.Source(providers.CapReferrers), err, want)
			}
		}
		if n := s.Calls()["system info"]; n != 1 {
			t.Errorf("asked %d times", n)
		}
		if c, err := open(t, s, "", "").Caps(t.Context()); err != nil || c.Referrers != providers.Maybe {
			t.Errorf("nobody: %v (%v)", c.Referrers, err)
		}
	}
	s, _ := serve(t)
	s.Fail(4, "system info", registrytest.Refusal{Status: 502, Text: "bad gateway"})
	r := robot(t, s)
	for _, want := range []providers.Tri{providers.Maybe, providers.Yes} {
		if c, err := r.Caps(t.Context()); err != nil || c.Referrers != want {
			t.Errorf("an API that was away: %v (%v), want %v", c.Referrers, err, want)
		}
	}
}
