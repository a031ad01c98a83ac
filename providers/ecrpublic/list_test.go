package ecrpublic

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/ecrpublic/ecrpublictest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// wants checks an error's kind, and that what it says to do holds words.
func wants(t *testing.T, what string, err error, kind providers.Kind, hint string) {
	t.Helper()
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != kind || !strings.Contains(e.Hint, hint) {
		t.Errorf("%s: %v (%+v)", what, err, e)
	}
}

// TestRows: our own images with their digests, times and types, those without a tag
// too, by a thousand a call, and no request to the registry.
func TestRows(t *testing.T) {
	s := ecrpublictest.New(t, ecrpublictest.Options{})
	signedIn(t, s.AWS().IAM().User("sync"))
	subject := content.Image("subject", nil)
	sig := content.Refer(subject, "application/x.sig", "sig")
	const images = 2100
	for i := range images - 2 {
		if err := s.Load("acme/app", content.Image(fmt.Sprint(i), nil), fmt.Sprint("v", i), fmt.Sprint("w", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Load("acme/app", subject, "signed"); err != nil {
		t.Fatal(err)
	}
	// On loopback an answer can overtake the end of its request, which the SDK then
	// sends again: what counts is what was answered.
	var mu sync.Mutex
	calls := map[string]int{}
	r := open(t, s, func(o *Options) {
		o.OCI.Observe = func(q oci.Request) {
			mu.Lock()
			defer mu.Unlock()
			if q.Err == nil {
				calls[q.Op]++
			}
		}
	})
	rows, err := trial.Collect(r.Rows(t.Context(), "acme/app"))
	if err != nil || len(rows) != images {
		t.Fatalf("%d rows (%v)", len(rows), err)
	}
	for _, row := range rows {
		if row.Pushed.IsZero() || row.MediaType == "" || row.Digest == sig.Digest && (len(row.Tags) != 0 || row.ArtifactType != "application/x.sig") {
			t.Errorf("row %+v", row)
		}
	}
	if calls["DescribeImages"] != 3 || calls["DescribeRegistries"] != 1 || s.Counts().Total() != 0 {
		t.Errorf("%v and %d requests", calls, s.Counts().Total())
	}
}

// TestRowsOfOthers: what is another account's has names, where the registry lists
// them, and otherwise an error that says what can be done; bulk lists are counted on
// only where nothing of others is expected.
func TestRowsOfOthers(t *testing.T) {
	s := serve(t, ecrpublictest.Options{})
	signedIn(t, s.AWS().IAM().User("sync"))
	r := open(t, s)
	r.Expect("acme/team/app")
	if c, err := r.Caps(t.Context()); err != nil || !c.BulkDigests || !c.PushTimes {
		t.Errorf("of our own: %+v (%v)", c, err)
	}
	r.Expect("docker/library/alpine")
	c, err := r.Caps(t.Context())
	if err != nil || c.BulkDigests || c.PushTimes || c.Source(providers.CapRows) != providers.Account {
		t.Errorf("of others, too: %+v (%v)", c, err)
	}
	_, err = trial.Collect(r.Rows(t.Context(), "docker/library/alpine"))
	wants(t, "no list of tags", err, providers.Unsupported, "transship copy")
	s.Configure(func(q *ecrpublictest.Quirks) { q.TagsList = true })
	rows, err := trial.Collect(r.Rows(t.Context(), "docker/library/alpine"))
	if err != nil || len(rows) != 1 || !slices.Equal(rows[0].Tags, []string{"v1"}) || rows[0].Digest.Hex != "" {
		t.Errorf("%+v (%v)", rows, err)
	}
	_, err = trial.Collect(r.Rows(t.Context(), "docker/library/none"))
	wants(t, "a repository that is not there", err, providers.NotFound, "alias")
}

// TestRepositories: those of our account, by any of its aliases, a thousand a call.
func TestRepositories(t *testing.T) {
	s := ecrpublictest.New(t, ecrpublictest.Options{})
	s.Own("123456789012", "acme", "x1y2z3")
	s.Own("222222222222", "docker")
	signedIn(t, s.AWS().IAM().User("sync"))
	for i := range 1100 {
		s.Create(fmt.Sprint("acme/many/r", i))
	}
	for _, repo := range []string{"acme/team/app", "acme/team/web", "docker/library/alpine"} {
		s.Create(repo)
	}
	r := open(t, s)
	for prefix, want := range map[string]string{"acme/team/": "acme/team/app acme/team/web", "x1y2z3/team/a": "x1y2z3/team/app",
		"acme/none": "", "acm": "1102", "": "1102"} {
		got, err := trial.Collect(r.Repositories(t.Context(), prefix))
		if text := strings.Join(got, " "); err != nil || text != want && fmt.Sprint(len(got)) != want {
			t.Errorf("%q: %d, %.80s (%v)", prefix, len(got), text, err)
		}
	}
	_, err := trial.Collect(r.Repositories(t.Context(), "docker/"))
	wants(t, "those of others", err, providers.Unsupported, "without a pattern")
	signedIn(t, s.AWS().IAM().UserOf("333333333333", "other"))
	_, err = trial.Collect(open(t, s).Repositories(t.Context(), ""))
	wants(t, "an account without a registry", err, providers.Unsupported, "without a pattern")
}

// TestErrors: what AWS says, in the kinds that say what to do, with its own reason.
func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		fault ecrtest.Fault
		kind  providers.Kind
		tries int64
		hint  string
	}{
		{ecrtest.Fault{Code: "ThrottlingException", Message: "Rate exceeded"}, providers.Throttled, 4, "limits.requests"},
		{ecrtest.Fault{Code: "RepositoryNotFoundException", Message: "gone"}, providers.NotFound, 1, "name"},
		{ecrtest.Fault{Code: "RegistryNotFoundException", Message: "gone"}, providers.NotFound, 1, "name"},
		{ecrtest.Fault{Code: "UnsupportedCommandException", Message: "not here"}, providers.Unsupported, 1, ""},
		{ecrtest.Fault{Code: "LimitExceededException", Message: "too many"}, providers.Quota, 1, "quota"},
		{ecrtest.Fault{Status: 500, Code: "ServerException", Message: "sorry"}, providers.Unavailable, 4, ""},
		{ecrtest.Fault{Code: "AccessDeniedException", Message: "User: arn:x is not authorized to perform: ecr-public:DescribeImages on resource: arn:aws:ecr-public::1:repository/app because no identity-based policy allows the ecr-public:DescribeImages action"},
			providers.Denied, 1, "grant ecr-public:DescribeImages on arn:aws:ecr-public::1:repository/app"},
	} {
		t.Run(tt.fault.Code, func(t *testing.T) {
			s := serve(t, ecrpublictest.Options{})
			signedIn(t, s.AWS().IAM().User("sync"))
			s.AWS().Fail(1000, "DescribeImages", tt.fault)
			_, err := trial.Collect(open(t, s).Rows(t.Context(), "acme/team/app"))
			wants(t, tt.fault.Code, err, tt.kind, tt.hint)
			if n := s.Calls()["DescribeImages"]; n != tt.tries {
				t.Errorf("%d tries, want %d", n, tt.tries)
			}
		})
	}
}
