package ecr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestRows: children, referrers and archived images are told apart, and the time
// is the digest's.
func TestRows(t *testing.T) {
	s := ecrtest.New(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	child := content.Image("x", []content.Blob{content.Layer("l", 5000)})
	ix := content.Index([]*content.Manifest{child})
	sig := content.Refer(ix, "application/x.sig", "sig")
	cold := content.Image("cold", nil)
	for m, tag := range map[*content.Manifest]string{ix: "v1", cold: "old"} {
		if err := s.Load("team/app", m, tag); err != nil {
			t.Fatal(err)
		}
	}
	s.Change("team/app", ecrtest.Settings{Archived: []string{cold.Digest.String()}})
	rows, err := trial.Collect(open(t, s).Rows(t.Context(), "team/app"))
	if err != nil || len(rows) != 4 {
		t.Fatalf("%d rows (%v)", len(rows), err)
	}
	for _, row := range rows {
		var ok bool
		switch row.Digest {
		case ix.Digest:
			ok = slices.Equal(row.Tags, []string{"v1"}) && row.MediaType == ix.MediaType && row.Size >= 5000 && !row.Archived
		case child.Digest:
			ok = len(row.Tags) == 0 && row.Subject.Hex == "" && row.MediaType == child.MediaType
		case sig.Digest:
			ok = len(row.Tags) == 0 && row.Subject == ix.Digest && row.ArtifactType == "application/x.sig"
		case cold.Digest:
			ok = slices.Equal(row.Tags, []string{"old"}) && row.Archived
		}
		if !ok || row.Pushed.IsZero() || !row.Tagged.IsZero() {
			t.Errorf("row %+v", row)
		}
	}
}

// TestRowsAreCheap: a thousand a call and no request to the registry itself.
func TestRowsAreCheap(t *testing.T) {
	s := ecrtest.New(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	const images = 2100
	for i := range images {
		if err := s.Load("app", content.Image(fmt.Sprint(i), nil), fmt.Sprint("v", i), fmt.Sprint("w", i)); err != nil {
			t.Fatal(err)
		}
	}
	// On loopback an answer can overtake the end of its request, which the SDK then
	// sends again: what counts is what was answered.
	var calls atomic.Int64
	r := open(t, s, func(o *Options) {
		o.OCI.Observe = func(q oci.Request) {
			if q.Op == "DescribeImages" && q.Err == nil {
				calls.Add(1)
			}
		}
	})
	rows, err := trial.Collect(r.Rows(t.Context(), "app"))
	if err != nil || len(rows) != images {
		t.Fatalf("%d rows (%v)", len(rows), err)
	}
	if n := calls.Load(); n != 3 || s.Counts().Total() != 0 {
		t.Errorf("%d calls and %d requests for %d images", n, s.Counts().Total(), images)
	}
}

// TestOldFilter: a service that does not know of archived images is asked without.
func TestOldFilter(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	s.Fail(1, "DescribeImages", ecrtest.Fault{Code: "InvalidParameterException", Message: "Invalid parameter at 'imageStatus'"})
	r := open(t, s)
	for range 2 {
		if rows, err := trial.Collect(r.Rows(t.Context(), "team/app")); err != nil || len(rows) != 1 {
			t.Errorf("%d rows (%v)", len(rows), err)
		}
	}
	if n := s.Calls()["DescribeImages"]; n != 3 {
		t.Errorf("%d calls, want a refusal and two", n)
	}
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
		{ecrtest.Fault{Code: "LimitExceededException", Message: "too many"}, providers.Quota, 1, "quota"},
		{ecrtest.Fault{Code: "RepositoryNotFoundException", Message: "gone"}, providers.NotFound, 1, "name"},
		{ecrtest.Fault{Code: "RepositoryNotFoundException", Message: "gone", Header: true}, providers.NotFound, 1, "name"},
		{ecrtest.Fault{Code: "RepositoryNotFoundException", Message: "gone", Prefix: true}, providers.NotFound, 1, "name"},
		{ecrtest.Fault{Code: "AccessDeniedException", Message: "User: arn:x is not authorized to perform: ecr:DescribeImages on resource: arn:aws:ecr:eu-west-1:1:repository/app because no identity-based policy allows the ecr:DescribeImages action"},
			providers.Denied, 1, "grant ecr:DescribeImages on arn:aws:ecr:eu-west-1:1:repository/app"},
		{ecrtest.Fault{Code: "AccessDeniedException", Message: "User: arn:x is not authorized to perform: ecr:DescribeImages with an explicit deny in a service control policy"},
			providers.Denied, 1, "denies ecr:DescribeImages explicitly"},
		{ecrtest.Fault{Code: "KmsException", Message: "no key"}, providers.Denied, 1, "KMS key"},
		{ecrtest.Fault{Code: "ImageTagAlreadyExistsException", Message: "there"}, providers.Conflict, 1, ""},
		{ecrtest.Fault{Code: "InvalidParameterException", Message: "odd"}, providers.Invalid, 1, ""},
		{ecrtest.Fault{Status: 500, Code: "ServerException", Message: "sorry"}, providers.Unavailable, 4, ""},
		{ecrtest.Fault{Status: 503, Code: "Strange", Message: "sorry"}, providers.Unavailable, 4, ""},
	} {
		t.Run(tt.fault.Code, func(t *testing.T) {
			s := serve(t, ecrtest.Options{})
			signedIn(t, s.IAM().User("sync"))
			s.Fail(1000, "DescribeImages", tt.fault)
			_, err := trial.Collect(open(t, s).Rows(t.Context(), "team/app"))
			e, ok := errors.AsType[*providers.Error](err)
			if !ok || e.Kind != tt.kind || e.Code != tt.fault.Code || !strings.Contains(e.Hint, tt.hint) || !strings.Contains(e.Error(), tt.fault.Message) {
				t.Errorf("%#v (%v)", e, err)
			}
			if n := s.Calls()["DescribeImages"]; n != tt.tries {
				t.Errorf("%d tries, want %d", n, tt.tries)
			}
		})
	}
}

// TestWrongPlace: another region, another account, a name that is none, an
// endpoint where nobody is.
func TestWrongPlace(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	_, err := open(t, s, func(o *Options) { o.Identity.Region = "us-east-1" }).Whoami(t.Context())
	if providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "region") {
		t.Errorf("another region: %v; %s", err, providers.HintOf(err))
	}
	at := func(host string, change ...func(*Options)) *Registry {
		return open(t, s, append(change, func(o *Options) {
			o.OCI.Host, o.Identity.Region, o.OCI.Base = host, "", toEmulator{s}
		})...)
	}
	works(t, at("123456789012.dkr.ecr.eu-west-1.amazonaws.com"), ":user/sync", "the environment")
	_, err = trial.Collect(at("999999999999.dkr.ecr.eu-west-1.amazonaws.com").Rows(t.Context(), "team/app"))
	if providers.KindOf(err) != providers.NotFound || !strings.Contains(err.Error(), "999999999999") {
		t.Errorf("another account: %v", err)
	}
	for _, o := range []Options{
		{OCI: oci.Options{Host: "12345.dkr.ecr.eu-west-1.amazonaws.com"}},
		{OCI: oci.Options{Host: "registry.example.com"}},
		{OCI: oci.Options{Host: "123456789012.dkr.ecr.eu-west-1.amazonaws.com"}, Identity: Identity{Region: "us-east-1"}},
	} {
		if _, err := New(o); providers.KindOf(err) != providers.Invalid || providers.HintOf(err) == "" {
			t.Errorf("%s: %v", o.OCI.Host, err)
		}
	}
	dead := ecrtest.New(t, ecrtest.Options{})
	dead.Close()
	r := open(t, s, func(o *Options) { o.Endpoints = Endpoints{ECR: dead.Endpoint(), STS: dead.Endpoint()} })
	for _, ask := range []func() error{
		func() error { _, err := r.Whoami(t.Context()); return err },
		func() error { _, err := trial.Collect(r.Rows(t.Context(), "team/app")); return err },
	} {
		if err := ask(); providers.KindOf(err) != providers.Unavailable || providers.HintOf(err) == "" {
			t.Errorf("an endpoint where nobody is: %v", err)
		}
	}
}

// TestListOnly: an identity that may list and not push is told which permission is
// missing.
func TestListOnly(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("reader", "ecr:GetAuthorizationToken", "ecr:Describe*", "ecr:BatchGetImage"))
	r := open(t, s)
	if _, err := trial.Collect(r.Rows(t.Context(), "team/app")); err != nil {
		t.Error(err)
	}
	if err := r.Ensure(t.Context(), "team/app"); err != nil {
		t.Error(err)
	}
	err := r.TryPush(t.Context(), "team/app")
	if providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "grant ecr:InitiateLayerUpload on arn:aws:ecr:eu-west-1:123456789012:repository/team/app") {
		t.Errorf("push: %v; %s", err, providers.HintOf(err))
	}
	err = r.Ensure(t.Context(), "team/new")
	if providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "ecr:CreateRepository") {
		t.Errorf("make: %v; %s", err, providers.HintOf(err))
	}
}

// TestObserved: calls to the API are told to observers by their names, what gives
// credentials as "token", and a throttle narrows the registry.
func TestObserved(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	role := s.IAM().Role("123456789012", "mirror", ecrtest.Trust{Principals: []string{"*"}})
	var mu sync.Mutex
	seen := map[string]int{}
	r := open(t, s, func(o *Options) {
		o.Identity.Roles = []Role{{ARN: role}}
		o.OCI.Observe = func(q oci.Request) {
			mu.Lock()
			defer mu.Unlock()
			seen[fmt.Sprint(q.Op, " ", q.Status)]++
		}
	})
	works(t, r, "assumed-role/mirror/transship", "auth.aws.roles")
	width := r.Limiter().Width()
	s.Fail(1, "DescribeImages", ecrtest.Fault{Code: "ThrottlingException", Message: "Rate exceeded"})
	if _, err := trial.Collect(r.Rows(t.Context(), "team/app")); err != nil {
		t.Fatal(err)
	}
	if r.Limiter().Width() >= width {
		t.Errorf("the width stayed at %d after a throttle", width)
	}
	if seen["DescribeImages 200"] != 2 || seen["DescribeImages 400"] != 1 || seen["token 200"] != 3 { // role, registry token, who we are
		t.Errorf("observed %v", seen)
	}
}
