package ghcr

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ghcr/ghcrtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// tagsOf reads the rows of a repository into tag -> digest, and counts those
// without a tag.
func tagsOf(t *testing.T, r *Registry, repo string) (tags map[string]string, untagged int) {
	t.Helper()
	rows, err := trial.Collect(r.Rows(t.Context(), repo))
	if err != nil {
		t.Fatal(err)
	}
	tags = map[string]string{}
	for _, row := range rows {
		if len(row.Tags) == 0 {
			untagged++
		}
		for _, tag := range row.Tags {
			tags[tag] = row.Digest.String()
		}
	}
	return tags, untagged
}

// testBulk holds that a package's digests, tagged and not, come a hundred a call,
// and that no tag is asked for by itself.
func testBulk(t *testing.T) {
	s := serve(t)
	for i := range 120 {
		trial.Load(t, s, "acme/app/sub", image(fmt.Sprint(i)), fmt.Sprintf("v%d", i))
	}
	multi := content.Index([]*content.Manifest{image("m1"), image("m2")})
	trial.Load(t, s, "acme/app/sub", multi, "latest")
	r := open(t, s, pusher(s))
	tags, untagged := tagsOf(t, r, "acme/app/sub")
	if len(tags) != 121 || untagged != 2 || tags["latest"] != multi.Digest.String() {
		t.Errorf("%d tags and %d manifests without, latest is %s", len(tags), untagged, tags["latest"])
	}
	if calls, asked := s.Calls()["versions"], s.Counts().Total(); calls != 2 || asked != 0 {
		t.Errorf("%d calls of the API and %d requests to the registry, want 2 and 0", calls, asked)
	}
	if caps, err := r.Caps(t.Context()); err != nil || !caps.BulkDigests {
		t.Errorf("caps %+v, %v", caps, err)
	}
	rows, err := trial.Collect(r.Rows(t.Context(), "acme/app"))
	if err != nil || len(rows) != 1 || rows[0].Pushed.IsZero() || time.Since(rows[0].Pushed) > time.Hour {
		t.Errorf("rows %+v (%v), want one with its time", rows, err)
	}
}

func TestBulk(t *testing.T) { testBulk(t) }

// TestOwners holds that a user's packages are found where a user's are, that it is
// asked once which it is, and what an owner who is not there is.
func TestOwners(t *testing.T) {
	s := serve(t)
	trial.Load(t, s, "jo/tool", image("t"), "v1")
	r := open(t, s, pusher(s))
	for range 2 {
		if tags, _ := tagsOf(t, r, "jo/tool"); len(tags) != 1 {
			t.Errorf("tags %v", tags)
		}
	}
	if n := s.Calls()["versions"]; n != 3 {
		t.Errorf("%d calls, want one to learn that jo is a user and two lists", n)
	}
	got, err := trial.Collect(r.Repositories(t.Context(), "acme/"))
	if err != nil || !slices.Equal(got, []string{"acme/app"}) {
		t.Errorf("repositories of acme: %v (%v)", got, err)
	}
	_, err = trial.Collect(r.Repositories(t.Context(), ""))
	trial.WantKind(t, err, providers.Unsupported, "begin each pattern of the rule with an owner")
	for _, err := range r.Rows(t.Context(), "acme/gone") {
		trial.WantKind(t, err, providers.NotFound, "")
	}
}

// closedTo opens the registry with a token, and returns what it logs.
func closedTo(t *testing.T, s *ghcrtest.Server, as ghcrtest.Token) (*Registry, *bytes.Buffer) {
	var log bytes.Buffer
	return open(t, s, as, func(o *Options) { o.OCI.Logger = slog.New(slog.NewTextHandler(&log, nil)) }), &log
}

// TestClosed holds that where the API does not tell, the registry's own list does,
// and that this is said once.
func TestClosed(t *testing.T) {
	for name, tt := range map[string]struct {
		as     ghcrtest.Token
		hourly int
		calls  int64 // of the API, in two lists
		said   bool
	}{
		"a workflow's token for another's packages": {ghcrtest.Token{User: "bot", Text: "ghs_bot", Scopes: []string{"read:packages"}, NoAPI: true}, 5000, 2, true},
		"the hour is used up":                       {ghcrtest.Token{User: "jo", Text: "ghp_jo", Scopes: []string{"read:packages"}}, -1, 1, true},
		"nobody":                                    {ghcrtest.Token{}, 5000, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(o *ghcrtest.Options) { o.Wire = func(q *registrytest.Quirks) { q.AnonymousPull = true } })
			s.Configure(func(q *ghcrtest.Quirks) { q.Hourly = tt.hourly })
			if tt.as.Text != "" {
				s.Add(tt.as)
			}
			r, log := closedTo(t, s, tt.as)
			for range 2 {
				if tags, _ := tagsOf(t, r, "acme/app"); len(tags) != 1 || tags["v1"] != ":" {
					t.Errorf("tags %v, want the name of one", tags)
				}
			}
			if n := s.Calls()["versions"]; n != tt.calls {
				t.Errorf("%d calls of the API, want %d", n, tt.calls)
			}
			if n := strings.Count(log.String(), "packages API does not tell us"); n != map[bool]int{true: 1}[tt.said] {
				t.Errorf("said %d times: %s", n, log)
			}
			if strings.Contains(log.String(), tt.as.Text) && tt.as.Text != "" {
				t.Errorf("the log has the token: %s", log)
			}
			if caps, err := r.Caps(t.Context()); err != nil || caps.BulkDigests {
				t.Errorf("caps %+v (%v), want no digests in lists", caps, err)
			}
			if d, err := r.Head(t.Context(), "acme/app", "v1"); err != nil || d.Digest != image("x").Digest {
				t.Errorf("head: %v, %v", d, err)
			}
		})
	}
}

// TestTooManyAtOnce holds that what GitHub calls a secondary limit, which it tells by
// the status of a token that may not, is waited out and told as what it is, and that
// tags are listed by name meanwhile.
func TestTooManyAtOnce(t *testing.T) {
	s := serve(t)
	s.Configure(func(q *ghcrtest.Quirks) { q.Secondary = true })
	r, log := closedTo(t, s, pusher(s))
	if tags, _ := tagsOf(t, r, "acme/app"); len(tags) != 1 || tags["v1"] != ":" {
		t.Errorf("tags %v, want the name of one", tags)
	}
	if n := s.Calls()["versions"]; n != 4 {
		t.Errorf("%d calls of the API, want 4: it is asked again first", n)
	}
	if said := log.String(); !strings.Contains(said, "secondary rate limit") || !strings.Contains(said, "limits.requests") || strings.Contains(said, "classic token") {
		t.Errorf("said %s", said)
	}
	_, err := trial.Collect(r.Repositories(t.Context(), "acme/"))
	trial.WantKind(t, err, providers.Throttled, "limits.requests")
}

// TestPagesStay holds that no page is fetched from another host, where the token
// would go with it.
func TestPagesStay(t *testing.T) {
	s := serve(t)
	trial.Load(t, s, "acme/app", image("y"), "v2")
	s.Configure(func(q *ghcrtest.Quirks) { q.PageMax, q.NextHost = 1, "127.0.0.2:1" })
	_, err := trial.Collect(open(t, s, pusher(s)).Rows(t.Context(), "acme/app"))
	trial.WantKind(t, err, providers.Invalid, "")
}

// TestAPIOf holds where the APIs are that go with hosts.
func TestAPIOf(t *testing.T) {
	for host, want := range map[string]string{
		"ghcr.io": "api.github.com", "ghcr.io:443": "api.github.com",
		"containers.acme.ghe.com":       "api.acme.ghe.com",
		"containers.github.example.com": "github.example.com/api/v3",
		"registry.example.com":          "",
		"127.0.0.1:5000":                "",
	} {
		got := apiOf(host)
		if got != "" {
			got += rootOf(got)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
