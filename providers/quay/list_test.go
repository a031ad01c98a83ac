package quay

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/quay/quaytest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestRowsOfTheAPI: a hundred tags a call with digest and time, and no HEAD; a tag
// that ends later is a tag, and one that was deleted is none.
func TestRowsOfTheAPI(t *testing.T) {
	for tags, calls := range map[int]int64{1: 1, 100: 1, 101: 2, 250: 3} {
		s, m := serve(t)
		for i := range tags - 1 {
			trial.Load(t, s, "acme/app", m, fmt.Sprint("w", i))
		}
		at, ends := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		s.SetTagged("acme/app", "v1", at)
		s.EndTag("acme/app", "v1", ends)
		r := open(t, s, "acme+sync", s.Account("acme+sync", quaytest.Read("acme/app")), withToken(s, "acme+sync"))
		rows, err := trial.Collect(r.Rows(t.Context(), "acme/app"))
		if err != nil || len(rows) != tags {
			t.Fatalf("%d tags: %d rows (%v)", tags, len(rows), err)
		}
		i := slices.IndexFunc(rows, func(row providers.Row) bool { return row.Tags[0] == "v1" })
		if i < 0 || rows[i].Digest != m.Digest || !rows[i].Tagged.Equal(at) || rows[i].Size != 1000 {
			t.Errorf("the row of v1: %+v", rows[max(i, 0)])
		}
		if n := s.Calls()["tags"]; n != calls || s.Counts().Of(registrytest.Tags, registrytest.ManifestHead) != 0 {
			t.Errorf("%d tags took %d calls, want %d, and %v", tags, n, calls, s.Counts().Requests)
		}
	}
}

// TestRowsThatCannotBeRead: a tag whose digest is none, or of an algorithm that nobody
// here knows, is a name, to be asked for; it is not left out.
func TestRowsThatCannotBeRead(t *testing.T) {
	s, m := serve(t)
	s.Configure(func(q *quaytest.Quirks) {
		q.Digests = map[string]string{"old": "", "new": "blake3:" + strings.Repeat("ab", 32)}
	})
	trial.Load(t, s, "acme/app", m, "old", "new")
	r := open(t, s, "acme+sync", s.Account("acme+sync", quaytest.Read("acme/app")), withToken(s, "acme+sync"))
	rows, err := trial.Collect(r.Rows(t.Context(), "acme/app"))
	got := map[string]string{}
	for _, row := range rows {
		got[row.Tags[0]] = row.Digest.Hex
	}
	if want := map[string]string{"v1": m.Digest.Hex, "old": "", "new": ""}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v (%v), want %v", got, err, want)
	}
}

// TestListsWithoutAnEnd: pages that always name another one end with an error.
func TestListsWithoutAnEnd(t *testing.T) {
	s, _ := serve(t)
	s.Configure(func(q *quaytest.Quirks) { q.Endless = true })
	r := open(t, s, "acme+sync", s.Account("acme+sync", quaytest.Admin("acme")), withToken(s, "acme+sync"))
	r.pages = 20
	_, err := trial.Collect(r.Repositories(t.Context(), "acme/"))
	trial.WantKind(t, err, providers.Invalid, oci.HintEndless)
	if n := s.Calls()["repositories"]; n != 20 {
		t.Errorf("%d pages, want 20", n)
	}
}

// TestRowsWithoutTheAPI: without a token public repositories are told of, and of
// others the registry lists the names. That is said once; the API is not asked again
// for a repository of which it does not tell, nor for others after three of those.
func TestRowsWithoutTheAPI(t *testing.T) {
	s, m := serve(t)
	var grants []quaytest.Grant
	for i := range 5 {
		repo := fmt.Sprint("acme/private", i)
		trial.Load(t, s, repo, m, "v1")
		grants = append(grants, quaytest.Read(repo))
	}
	var said bytes.Buffer
	r := open(t, s, "acme+sync", s.Account("acme+sync", append(grants, quaytest.Read("acme/app"))...), source, func(o *Options) {
		o.OCI.Logger = slog.New(slog.NewTextHandler(&said, nil))
	})
	for range 2 {
		for i := range 5 {
			rows, err := trial.Collect(r.Rows(t.Context(), fmt.Sprint("acme/private", i)))
			if err != nil || len(rows) != 1 || rows[0].Digest.Hex != "" || rows[0].Tags[0] != "v1" {
				t.Fatalf("rows %+v (%v)", rows, err)
			}
		}
	}
	if n := s.Calls()["tags"]; n != enough {
		t.Errorf("the API was asked %d times, want %d", n, enough)
	}
	if strings.Count(said.String(), "auth.apiToken") != 1 {
		t.Errorf("said %s", said.String())
	}

	s.Publish("acme/app")
	rows, err := trial.Collect(open(t, s, "", "", source).Rows(t.Context(), "acme/app"))
	if err != nil || len(rows) != 1 || rows[0].Digest != m.Digest {
		t.Errorf("of a public repository: %+v (%v)", rows, err)
	}
}

// TestBecomesPublic: the API is asked again after an hour about a repository of which
// it did not tell, and tells then of one that was published since.
func TestBecomesPublic(t *testing.T) {
	s, m := serve(t)
	r := robot(t, s, quaytest.Read("acme/app"))
	digest := func() string {
		rows, err := trial.Collect(r.Rows(t.Context(), "acme/app"))
		if err != nil || len(rows) != 1 {
			t.Fatalf("rows %+v (%v)", rows, err)
		}
		return rows[0].Digest.Hex
	}
	if got := digest(); got != "" {
		t.Errorf("of a private one the API tells nobody %s", got)
	}
	s.Publish("acme/app")
	if got, n := digest(), s.Calls()["tags"]; got != "" {
		t.Errorf("within the hour it is asked again (%d calls): %s", n, got)
	}
	r.doubt = time.Now().Add(-time.Second)
	if got := digest(); got != m.Digest.Hex {
		t.Errorf("after an hour: %q", got)
	}
}

// TestRowsAPIRefuses: whatever keeps the API from telling, the registry tells; only
// a failure that may pass is one.
func TestRowsAPIRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*quaytest.Server)
		token  string
		kind   providers.Kind
		says   string
	}{
		"no API":              {change: func(s *quaytest.Server) { s.Configure(func(q *quaytest.Quirks) { q.NoAPI = true }) }},
		"a wrong token":       {token: "wrong", says: "does not take the token"},
		"a token of others":   {token: "others"},
		"the API is away":     {change: func(s *quaytest.Server) { s.Fail(9, "tags", registrytest.Refusal{Status: 502, Text: "bad gateway"}) }, kind: providers.Unavailable},
		"the API is too busy": {change: func(s *quaytest.Server) { s.Fail(1, "tags", registrytest.Refusal{Status: 429, Text: "slow down"}) }},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := serve(t)
			var said bytes.Buffer
			password := s.Account("acme+sync", quaytest.Read("acme/app"))
			s.Account("others")
			token := s.Token("acme+sync")
			switch tt.token {
			case "wrong":
				token = "wrong"
			case "others":
				token = s.Token("others")
			}
			if tt.change != nil {
				tt.change(s)
			}
			r := open(t, s, "acme+sync", password, func(o *Options) {
				o.APIToken = func() (string, error) { return token, nil }
				o.OCI.Logger = slog.New(slog.NewTextHandler(&said, nil))
			})
			rows, err := trial.Collect(r.Rows(t.Context(), "acme/app"))
			if tt.kind != providers.Unknown {
				if providers.KindOf(err) != tt.kind {
					t.Errorf("%v, want %v", err, tt.kind)
				}
				return
			}
			if err != nil || len(rows) != 1 || !strings.Contains(said.String(), tt.says) || strings.Contains(said.String(), token) {
				t.Errorf("%+v (%v); said %s", rows, err, said.String())
			}
		})
	}
}

// TestRepositories: of a namespace by the API, page by page; else the catalog, whose
// token asks for no scope that Quay cannot read; and nobody is shown that.
func TestRepositories(t *testing.T) {
	s, m := serve(t)
	s.Configure(func(q *quaytest.Quirks) { q.Page = 2 })
	want := []string{"acme/app", "acme/b", "acme/c/d", "acme/e", "acme/f"}
	for _, repo := range want[1:] {
		trial.Load(t, s, repo, m, "v1")
	}
	trial.Load(t, s, "other/app", m, "v1")
	password := s.Account("acme+sync", quaytest.Admin("acme"))
	got, err := trial.Collect(open(t, s, "acme+sync", password, withToken(s, "acme+sync")).Repositories(t.Context(), "acme/"))
	if slices.Sort(got); err != nil || !slices.Equal(got, want) || s.Calls()["repositories"] != 3 {
		t.Errorf("by the API: %v (%v), %d calls", got, err, s.Calls()["repositories"])
	}
	got, err = trial.Collect(open(t, s, "acme+sync", password).Repositories(t.Context(), "acme/c"))
	if err != nil || !slices.Equal(got, []string{"acme/c/d"}) || s.Calls()["repositories"] != 3 {
		t.Errorf("by the catalog: %v (%v)", got, err)
	}
	s.Publish("acme/e")
	nobody := open(t, s, "", "", source)
	if got, err = trial.Collect(nobody.Repositories(t.Context(), "acme/")); err != nil || !slices.Equal(got, []string{"acme/e"}) {
		t.Errorf("public ones: %v (%v)", got, err)
	}
	if _, err = trial.Collect(nobody.Repositories(t.Context(), "")); providers.KindOf(err) != providers.Unsupported || !strings.Contains(providers.HintOf(err), "namespace") {
		t.Errorf("the catalog for nobody: %v; %s", err, providers.HintOf(err))
	}
}

// TestReferrers: those of a subject that is not there are none, and of one that is
// they are listed; a registry too old for the API has none.
func TestReferrers(t *testing.T) {
	s, m := serve(t)
	sig := content.Refer(m, "application/x.sig", "sig")
	trial.Load(t, s, "acme/app", m, "v1")
	r := robot(t, s, quaytest.Read("acme/app"))
	if list, err := r.Referrers(t.Context(), "acme/app", m.Digest); err != nil || len(list) != 1 || list[0].Digest != sig.Digest {
		t.Errorf("referrers %+v (%v)", list, err)
	}
	if list, err := r.Referrers(t.Context(), "acme/app", content.Hash([]byte("absent"))); err != nil || len(list) != 0 {
		t.Errorf("of what is not there: %+v (%v)", list, err)
	}
	s.Set(func(q *registrytest.Quirks) { q.NoReferrers = true })
	if _, err := r.Referrers(t.Context(), "acme/app", m.Digest); providers.KindOf(err) != providers.Unsupported {
		t.Errorf("of an old one: %v", err)
	}
}
