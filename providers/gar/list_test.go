package gar

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestRows: children and referrers have no tags, and the time is the digest's;
// however the list is read.
func TestRows(t *testing.T) {
	s := gartest.New(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	child := content.Image("x", []content.Blob{content.Layer("l", 5000)})
	ix := content.Index([]*content.Manifest{child})
	sig := content.Refer(ix, "application/x.sig", "sig")
	trial.Load(t, s, app, ix, "v1", "v2")
	trial.Load(t, s, app+"/below", child, "other")
	for name, quirk := range map[string]func(*gartest.Quirks){
		"from the registry's list":   func(q *gartest.Quirks) { q.PlainTags = false },
		"from the API's, without it": func(q *gartest.Quirks) { q.PlainTags = true },
	} {
		s.Configure(quirk)
		rows, err := trial.Collect(open(t, s).Rows(t.Context(), app))
		if err != nil || len(rows) != 3 {
			t.Fatalf("%s: %d rows (%v)", name, len(rows), err)
		}
		for _, row := range rows {
			var ok bool
			slices.Sort(row.Tags)
			switch row.Digest {
			case ix.Digest:
				ok = slices.Equal(row.Tags, []string{"v1", "v2"}) && row.MediaType == ix.MediaType
			case child.Digest:
				ok = len(row.Tags) == 0 && row.MediaType == child.MediaType && row.Size >= 5000
			case sig.Digest:
				ok = len(row.Tags) == 0 && row.MediaType == sig.MediaType
			}
			if !ok || row.Pushed.IsZero() || !row.Tagged.IsZero() {
				t.Errorf("%s: row %+v", name, row)
			}
		}
	}
}

// TestNoList: what cannot be read as a list is read from the API.
func TestNoList(t *testing.T) {
	s := serve(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	s.Next(1, registrytest.Tags, registrytest.Fault{Status: 200, JSON: `{"manifest": 1}`})
	if rows, err := trial.Collect(open(t, s).Rows(t.Context(), app)); err != nil || len(rows) != 1 || len(rows[0].Tags) != 1 || s.Calls()["ListVersions"] != 1 {
		t.Errorf("%+v (%v)", rows, err)
	}
}

// TestLongList: one that is a thousand manifests long is checked against the API, and
// one that lacks some is read from there: a call for each thousand of either.
func TestLongList(t *testing.T) {
	s := gartest.New(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	const images = 2100
	for i := range images {
		trial.Load(t, s, app, content.Image(fmt.Sprint(i), nil), fmt.Sprint("v", i))
	}
	for most, want := range map[int]map[string]int64{
		0:    {"ListTags": 3, "Token": 1},
		1500: {"ListTags": 3, "ListVersions": 3, "Token": 1},
	} {
		s.Configure(func(q *gartest.Quirks) { q.ManifestCap = most })
		s.ResetCalls()
		s.ResetCounts()
		rows, err := trial.Collect(open(t, s).Rows(t.Context(), app))
		tags := map[string]v1.Hash{}
		for _, row := range rows {
			for _, tag := range row.Tags {
				tags[tag] = row.Digest
			}
		}
		if err != nil || len(rows) != images || len(tags) != images {
			t.Errorf("%d rows with %d tags (%v)", len(rows), len(tags), err)
		}
		if got := s.Calls(); fmt.Sprint(got) != fmt.Sprint(want) || s.Counts().Total() != 1 {
			t.Errorf("calls %v and %d requests, want %v and 1", got, s.Counts().Total(), want)
		}
	}
}

// TestMany: a source of many repositories costs one request each, and a call for
// each thousand of them; none for a tag.
func TestMany(t *testing.T) {
	packages, images := 20, 20
	if os.Getenv("TRANSSHIP_LONG") == "1" {
		packages, images = 1000, 100
	}
	s := gartest.New(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	for p := range packages {
		for i := range images {
			trial.Load(t, s, fmt.Sprint("acme/mirror/app", p), content.Image(fmt.Sprint(i), nil), fmt.Sprint("v", i))
		}
	}
	r := open(t, s)
	names, err := trial.Collect(r.Repositories(t.Context(), "acme/mirror/"))
	if err != nil || len(names) != packages {
		t.Fatalf("%d repositories (%v)", len(names), err)
	}
	rows := 0
	for _, name := range names {
		all, err := trial.Collect(r.Rows(t.Context(), name))
		if err != nil {
			t.Fatal(err)
		}
		rows += len(all)
	}
	c, calls := s.Counts(), s.Calls()
	t.Logf("%d tags in %d repositories: %d requests, %v calls", rows, packages, c.Total(), calls)
	if rows != packages*images || c.Total() != int64(packages) || c.Requests[registrytest.Tags] != int64(packages) || calls["ListPackages"] != 1 || calls["Token"] != 1 {
		t.Errorf("%d rows: %v, %v", rows, c.Requests, calls)
	}
}

// TestRepositories: of a project, of a repository, and of neither; what holds no
// images is left out.
func TestRepositories(t *testing.T) {
	s := gartest.New(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	m := content.Image("x", nil)
	for _, repo := range []string{"acme/mirror/a/b", "acme/mirror/c", "acme/mirror-b/d", "acme/gcr.io/e", "acme/maven/f", "example.com/acme/mirror/g", "other/mirror/h"} {
		trial.Load(t, s, repo, m, "v1")
	}
	s.Repository("acme/maven", gartest.Settings{Format: "MAVEN"})
	r := open(t, s)
	for prefix, want := range map[string][]string{
		"acme/":                    {"acme/gcr.io/e", "acme/mirror-b/d", "acme/mirror/a/b", "acme/mirror/c"},
		"acme/mirror":              {"acme/mirror-b/d", "acme/mirror/a/b", "acme/mirror/c"},
		"acme/mirror/":             {"acme/mirror/a/b", "acme/mirror/c"},
		"acme/mirror/a/":           {"acme/mirror/a/b"},
		"acme/gcr.io/":             {"acme/gcr.io/e"},
		"acme/other":               nil,
		"example.com/acme/":        {"example.com/acme/mirror/g"},
		"example.com/acme/mirror/": {"example.com/acme/mirror/g"},
	} {
		got, err := trial.Collect(r.Repositories(t.Context(), prefix))
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("below %q: %v (%v), want %v", prefix, got, err, want)
		}
	}
	for _, prefix := range []string{"", "acme", "example.com/", "example.com/acme"} {
		_, err := trial.Collect(r.Repositories(t.Context(), prefix))
		if providers.KindOf(err) != providers.Unsupported || !strings.Contains(providers.HintOf(err), "project") {
			t.Errorf("below %q: %v", prefix, err)
		}
	}
	_, err := trial.Collect(r.Repositories(t.Context(), "absent/"))
	if providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "artifactregistry.repositories.list on projects/absent") {
		t.Errorf("of a project that is not there: %v; %s", err, providers.HintOf(err))
	}
}

// TestRepositoriesFiltered: what a prefix leaves out is not sent by the service; a
// filter that leaves nothing is not believed.
func TestRepositoriesFiltered(t *testing.T) {
	s := gartest.New(t, gartest.Options{Quirks: func(q *gartest.Quirks) { q.PageDefault, q.PageMax = 10, 10 }})
	signedIn(t, s, s.IAM().Account("sync"))
	for i := range 25 {
		trial.Load(t, s, fmt.Sprintf("acme/mirror/app-%02d/x", i), content.Image("x", nil), "v1")
		trial.Load(t, s, fmt.Sprintf("acme/other-%02d/x", i), content.Image("x", nil), "v1")
	}
	r := open(t, s)
	for _, tt := range []struct {
		prefix                 string
		nothing                bool
		names                  int
		repositories, packages int64
	}{
		{"acme/mir", false, 25, 1, 3},
		{"acme/mirror/app-07/", false, 1, 0, 1},
		{"acme/mirror/app-0", false, 10, 0, 1},
		{"acme/mirror/app-07/", true, 1, 0, 4},
		{"acme/mir", true, 25, 4, 3},
		{"acme/mirror/none", false, 0, 0, 4},
	} {
		s.Configure(func(q *gartest.Quirks) { q.FiltersNothing = tt.nothing })
		before := s.Calls()
		got, err := trial.Collect(r.Repositories(t.Context(), tt.prefix))
		calls := s.Calls()
		repos, packages := calls["ListRepositories"]-before["ListRepositories"], calls["ListPackages"]-before["ListPackages"]
		if err != nil || len(got) != tt.names || repos != tt.repositories || packages != tt.packages {
			t.Errorf("below %s: %d by %d and %d calls (%v), want %d by %d and %d", tt.prefix, len(got), repos, packages, err, tt.names, tt.repositories, tt.packages)
		}
	}
}

// TestGCR: the gcr.io hosts by their own names, with a project of a domain.
func TestGCR(t *testing.T) {
	for host, location := range gcrLocations {
		s := gartest.New(t, gartest.Options{GCR: host})
		signedIn(t, s, s.IAM().Account("sync"))
		r := open(t, s, func(o *Options) { o.OCI.Host, o.OCI.Base, o.Endpoints.Location = host, toEmulator{s}, "" })
		m := content.Image("x", nil)
		if err := r.Ensure(t.Context(), "example.com/acme/team/app"); err != nil {
			t.Fatal(err)
		}
		if _, ok := s.Settings("example.com:acme/" + host); !ok || s.Location() != location {
			t.Errorf("%s: no repository was made in %s", host, s.Location())
		}
		trial.Load(t, s, "example.com/acme/team/app", m, "v1")
		names, err := trial.Collect(r.Repositories(t.Context(), "example.com/acme/"))
		if err != nil || !slices.Equal(names, []string{"example.com/acme/team/app"}) {
			t.Errorf("%s: %v (%v)", host, names, err)
		}
		if rows, err := trial.Collect(r.Rows(t.Context(), "example.com/acme/team/app")); err != nil || len(rows) != 1 {
			t.Errorf("%s: %v (%v)", host, rows, err)
		}
	}
}

// TestErrors: what Google says, in the kinds that say what to do, with its own reason.
func TestErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		fault gartest.Fault
		kind  providers.Kind
		tries int64
		says  string
		hint  string
	}{
		"rate":         {gartest.Fault{Code: 429, Status: "RESOURCE_EXHAUSTED", Reason: "RATE_LIMIT_EXCEEDED", Message: "Quota exceeded"}, providers.Throttled, 4, "RATE_LIMIT_EXCEEDED", "limits.requests"},
		"quota":        {gartest.Fault{Code: 429, Status: "RESOURCE_EXHAUSTED", Reason: "RESOURCE_QUOTA_EXCEEDED", Message: "full"}, providers.Quota, 1, "RESOURCE_QUOTA_EXCEEDED", "quota"},
		"disabled":     {gartest.Fault{Code: 403, Status: "PERMISSION_DENIED", Reason: "SERVICE_DISABLED", Message: "not used before"}, providers.Denied, 1, "sync@", "gcloud services enable"},
		"denied":       {gartest.Fault{Code: 403, Status: "PERMISSION_DENIED", Message: "Permission 'artifactregistry.packages.list' denied on resource '//artifactregistry.googleapis.com/projects/acme'"}, providers.Denied, 1, "sync@", "grant artifactregistry.packages.list on projects/acme"},
		"immutable":    {gartest.Fault{Code: 400, Status: "FAILED_PRECONDITION", Message: "tag immutability is enabled"}, providers.Conflict, 1, "FAILED_PRECONDITION", ""},
		"precondition": {gartest.Fault{Code: 400, Status: "FAILED_PRECONDITION", Message: "odd"}, providers.Invalid, 1, "odd", ""},
		"missing":      {gartest.Fault{Code: 404, Status: "NOT_FOUND", Message: "no such"}, providers.NotFound, 1, "no such", "project"},
		"argument":     {gartest.Fault{Code: 400, Status: "INVALID_ARGUMENT", Message: "odd"}, providers.Invalid, 1, "odd", ""},
		"internal":     {gartest.Fault{Code: 500, Status: "INTERNAL", Message: "sorry"}, providers.Unavailable, 4, "sorry", ""},
		"bare 503":     {gartest.Fault{Code: 503, Raw: "<html>"}, providers.Unavailable, 4, "503", ""},
		"a web page":   {gartest.Fault{Code: 200, Raw: "<html>"}, providers.Invalid, 1, "not Google's API", "proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, gartest.Options{})
			signedIn(t, s, s.IAM().Account("sync"))
			s.Fail(1000, "ListPackages", tt.fault)
			_, err := trial.Collect(open(t, s).Repositories(t.Context(), "acme/mirror/"))
			e, ok := errors.AsType[*providers.Error](err)
			if !ok || e.Kind != tt.kind || !strings.Contains(e.Error(), tt.says) || !strings.Contains(e.Hint, tt.hint) || e.Op == "" || e.Ref == "" {
				t.Errorf("%#v (%v)", e, err)
			}
			if n := s.Calls()["ListPackages"]; n != tt.tries {
				t.Errorf("%d tries, want %d", n, tt.tries)
			}
		})
	}
}
