package replicator

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// The engine over Amazon ECR: emulated, with every refusal on, and spoken to by
// the real SDK.

var long = os.Getenv("TRANSSHIP_LONG") == "1"

// scale is usual, or with TRANSSHIP_LONG=1 most.
func scale(usual, most int) int {
	if long {
		return most
	}
	return usual
}

// A cloudRig is an ECR in one region and another in a second, one account.
type cloudRig struct {
	*rig
	ecrs map[string]*ecrtest.Server
}

func newCloudRig(t *testing.T, identity ecr.Identity, quirks func(name string, q *ecrtest.Quirks), wire func(name string, q *registrytest.Quirks), change func(name string, o *ecr.Options)) *cloudRig {
	t.Helper()
	iam := ecrtest.NewIAM()
	k := iam.User("sync")
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": k.ID, "AWS_SECRET_ACCESS_KEY": k.Secret, "AWS_SESSION_TOKEN": "",
		"AWS_PROFILE": "", "AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none"} {
		t.Setenv(name, value)
	}
	r := &cloudRig{ecrs: map[string]*ecrtest.Server{}, rig: &rig{t: t, now: time.Now(),
		servers: map[string]*registrytest.Server{}, clients: map[string]providers.Registry{}}}
	iam.Role("123456789012", "mirror", ecrtest.Trust{Principals: []string{"*"}})
	text := "registries:\n"
	for name, region := range map[string]string{"src": "eu-west-1", "one": "us-east-1"} {
		s := ecrtest.New(t, ecrtest.Options{IAM: iam, Region: region,
			Quirks: func(q *ecrtest.Quirks) { quirks(name, q) },
			Wire: func(q *registrytest.Quirks) {
				if wire != nil {
					wire(name, q)
				}
			}})
		id := identity
		id.Region = region
		o := ecr.Options{Identity: id, Endpoints: ecr.Endpoints{ECR: s.Endpoint(), STS: s.Endpoint()},
			OCI: oci.Options{Host: s.Host(), PlainHTTP: true, Push: name == "one"}}
		if change != nil {
			change(name, &o)
		}
		reg, err := ecr.New(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { reg.Close() })
		r.ecrs[name], r.servers[name], r.clients[name] = s, s.Server, reg
		text += fmt.Sprintf("  %s: {host: \"%s\", plainHTTP: true, provider: oci}\n", name, s.Host())
	}
	set, err := policy.Parse("test.yaml", []byte(text+"rules:\n  - {name: all, from: {registry: src}, to: [{registry: one}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	r.set = set
	r.openState(filepath.Join(t.TempDir(), "state.db"))
	return r
}

func (r *cloudRig) same() {
	r.t.Helper()
	if err := registrytest.Equal(r.servers["src"], r.servers["one"], nil); err != nil {
		r.t.Error(err)
	}
}

// TestECRUnchanged: a pass over tags that did not change makes no request for any
// of them: a call for each thousand rows and one for each repository, per side. By
// default 1,000 tags in 20 repositories, with TRANSSHIP_LONG=1 100,000 in 1,000.
func TestECRUnchanged(t *testing.T) {
	repos, tags := scale(20, 1000), scale(50, 100)
	r := newCloudRig(t, ecr.Identity{}, func(string, *ecrtest.Quirks) {}, nil, nil)
	rows := map[string]int{}
	for i := range repos {
		repo := fmt.Sprintf("team-%02d/app-%04d", i%20, i)
		base := content.Layer(repo, 100)
		for j := range tags / 2 {
			m := content.Image(fmt.Sprint(repo, j), []content.Blob{base})
			for _, s := range r.servers {
				if err := s.Load(repo, m, fmt.Sprint("v", j), fmt.Sprint("w", j)); err != nil {
					t.Fatal(err)
				}
			}
		}
		sig := content.Image("sig", nil, content.Subject(content.Image(fmt.Sprint(repo, 0), []content.Blob{base})))
		for _, s := range r.servers {
			if err := s.Load(repo, sig); err != nil {
				t.Fatal(err)
			}
		}
		rows[repo] = tags/2 + 1
	}
	reports, _ := r.pass() // both sides are the same; state learns so
	r.fine(reports)
	r.now = r.now.Add(time.Minute)
	for _, s := range r.ecrs {
		s.ResetCalls()
	}
	start := time.Now()
	reports, counts := r.pass()
	r.fine(reports)
	t.Logf("%d tags in %d repositories, unchanged: %v", repos*tags, repos, time.Since(start))
	var most int64
	for _, n := range rows {
		most += int64(n/1000 + 1)
	}
	for name, s := range r.ecrs {
		calls := s.Calls()
		t.Logf("%s: %v, and %d requests to the registry", name, calls, counts[name].Total())
		if calls["DescribeImages"] > most || calls["DescribeRepositories"] > int64(repos/1000+1) || counts[name].Total() != 0 {
			t.Errorf("%s: %v, want at most %d lists\n%s", name, calls, most, counts[name])
		}
	}
	r.oneMore(rows)
}

// oneMore adds one tag and one signature on an old image: they cost the lists, and
// what they need.
func (r *cloudRig) oneMore(rows map[string]int) {
	r.t.Helper()
	const repo = "team-01/app-0001"
	old := content.Image(fmt.Sprint(repo, 1), []content.Blob{content.Layer(repo, 100)})
	r.load(repo, content.Image("new", []content.Blob{content.Layer(repo, 100)}), "new")
	r.load(repo, content.Image("new sig", nil, content.Subject(old)))
	reports, counts := r.pass()
	r.fine(reports)
	r.same()
	src, one := counts["src"], counts["one"]
	if src.Of(registrytest.ManifestHead, registrytest.Tags, registrytest.Referrers) != 0 || src.Of(registrytest.ManifestGet) > 3 || one.Of(registrytest.ManifestPut) != 2 {
		r.t.Errorf("one tag and one signature more:\n%s\n%s", src, one)
	}
}

// TestECRLongCopy: a copy that lasts longer than the registry tokens and the
// sessions of both sides goes on without a failure and without a second read.
func TestECRLongCopy(t *testing.T) {
	life := time.Duration(scale(1500, 3000)) * time.Millisecond // a busy machine takes a second for a request
	r := newCloudRig(t, ecr.Identity{Roles: []ecr.Role{{ARN: "arn:aws:iam::123456789012:role/mirror"}}},
		func(_ string, q *ecrtest.Quirks) { q.TokenLife, q.Rates = life, nil },
		func(_ string, q *registrytest.Quirks) { q.BytesPerSecond = 1200 << 10 },
		func(_ string, o *ecr.Options) { o.OCI.Limits.Start, o.OCI.Limits.Max = 1, 1 }) // one request after the other
	r.ecrs["src"].IAM().SessionLife = life
	var unique int64
	for i := range scale(4, 15) {
		layer := content.Layer(fmt.Sprint("layer ", i), 1<<20)
		m := content.Image(fmt.Sprint(i), []content.Blob{layer})
		r.load("team/app", m, fmt.Sprint("v", i))
		for _, b := range m.Blobs {
			unique += b.Size
		}
	}
	reports, counts := r.pass()
	r.fine(reports)
	r.same()
	if n := counts["src"].BytesOut; n != unique {
		t.Errorf("%d bytes were read of %d", n, unique)
	}
	if n := counts["one"].BytesIn; n != unique {
		t.Errorf("%d bytes were written of %d", n, unique)
	}
	for name, s := range r.ecrs {
		calls := s.Calls()
		t.Logf("%s: %v", name, calls)
		if calls["GetAuthorizationToken"] < 3 || calls["AssumeRole"] < 2 {
			t.Errorf("the copy did not outlast the tokens: %v", calls)
		}
	}
}

// TestECRThrottled: a first copy to an ECR that takes ten manifests a second, and
// says nothing of when to come again, is refused one request in fifty at most.
func TestECRThrottled(t *testing.T) {
	images := scale(16, 400)
	r := newCloudRig(t, ecr.Identity{}, func(string, *ecrtest.Quirks) {}, nil, nil)
	base := content.Layer("base", 1000)
	for i := range images {
		r.load("team/app", content.Image(fmt.Sprint(i), []content.Blob{base}), fmt.Sprint("v", i))
	}
	start := time.Now()
	reports, counts := r.pass()
	took := time.Since(start)
	r.fine(reports)
	r.same()
	puts, refused := counts["one"].Of(registrytest.ManifestPut), counts["one"].Status[429]
	least := cmp.Or(float64(images-10)/10, 1)
	t.Logf("%d manifests in %v, %.2f times what the quota dictates; %d of %d puts refused", images, took, took.Seconds()/least, refused, puts)
	if refused*50 > puts {
		t.Errorf("%d of %d puts were refused", refused, puts)
	}
}

// TestECRWrongSubjects: a list that tells a wrong subject brings nothing to an image
// that it is not about, and one that tells none of an artifact has it read once.
func TestECRWrongSubjects(t *testing.T) {
	for name, tell := range map[string]func(other string) string{
		"another": func(other string) string { return other }, "none": func(string) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			r := newCloudRig(t, ecr.Identity{}, func(string, *ecrtest.Quirks) {}, nil, nil)
			app, other := content.Image("app", nil), content.Image("other", nil)
			sig := content.Refer(app, "application/x.sig", "sig")
			r.load("app", app, "v1")
			r.load("app", other, "v2")
			r.ecrs["src"].Configure(func(q *ecrtest.Quirks) {
				q.Subjects = map[string]string{sig.Digest.String(): tell(other.Digest.String())}
			})
			for range 2 {
				reports, counts := r.pass()
				r.fine(reports)
				t.Logf("%s", counts["src"])
			}
			one := r.servers["one"]
			if list := one.Referrers("app", other.Digest); len(list) != 0 {
				t.Errorf("%d referrers of an image that has none", len(list))
			}
			if list := one.Referrers("app", app.Digest); name == "none" && len(list) != 1 {
				t.Errorf("%d referrers, want the one whose subject is not told", len(list))
			}
			if n := r.servers["src"].Counts().Digests[sig.Digest.String()].Reads; n > 2 {
				t.Errorf("it was read %d times", n)
			}
		})
	}
}
