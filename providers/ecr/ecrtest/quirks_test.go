package ecrtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// The quirks of ECR, by their numbers in our notes on how it behaves.

func TestQuirk01PatchCreated(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s)
	s.Create("app")
	a := w.want(202, "", w.do("POST", "/v2/app/blobs/uploads/", nil))
	a = w.want(201, "", w.do("PATCH", a.header.Get("Location"), []byte("hello"), "Content-Range: 0-4"))
	a = w.want(201, "", w.do("PATCH", a.header.Get("Location"), []byte("world"), "Content-Range: 5-9"))
	if got := a.header.Get("Range"); got != "0-4" {
		t.Errorf("Range is %s after two chunks, want that of the first", got)
	}
	w.want(416, "", w.do("PATCH", a.header.Get("Location"), []byte("again"), "Content-Range: 5-9"))
}

func TestQuirk02EmptyPutFails(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s)
	s.Create("app")
	chunks := func() answer {
		a := w.want(202, "", w.do("POST", "/v2/app/blobs/uploads/", nil))
		a = w.want(201, "", w.do("PATCH", a.header.Get("Location"), []byte("hello")))
		return w.want(201, "", w.do("PATCH", a.header.Get("Location"), []byte("world")))
	}
	w.want(500, "", w.do("PUT", withDigest(chunks(), []byte("helloworld")), nil))
	w.want(201, "", w.do("PUT", withDigest(chunks(), []byte("helloworld!")), []byte("!")))
	s.Set(func(q *registrytest.Quirks) { q.EmptyPutFails = false })
	w.want(201, "", w.do("PUT", withDigest(chunks(), []byte("helloworld")), nil))
}

func TestQuirk03MissingRepository(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s)
	const missing = "The repository with name 'team/app' does not exist in the registry with id '123456789012'"
	m := content.Image("x", nil)
	w.want(404, missing, w.do("POST", "/v2/team/app/blobs/uploads/", nil))
	w.want(404, missing, w.put("team/app", "v1", m))
	w.want(404, missing, w.do("GET", "/v2/team/app/tags/list", nil))
	w.want(404, "", w.do("HEAD", "/v2/team/app/manifests/v1", nil))
	s.Template("team", Settings{Mutability: "IMMUTABLE", KMSKey: "alias/ecr"})
	w.want(404, missing, w.do("GET", "/v2/team/app/tags/list", nil)) // only a push creates
	w.blobs("team/app", m)
	if got := s.Settings("team/app"); got.Mutability != "IMMUTABLE" || got.KMSKey != "alias/ecr" {
		t.Errorf("made with %+v, want the template's settings", got)
	}
	w.want(404, "NAME_UNKNOWN", w.do("POST", "/v2/teams/app/blobs/uploads/", nil))
	s.Template("ROOT", Settings{})
	w.want(202, "", w.do("POST", "/v2/teams/app/blobs/uploads/", nil))
}

func TestQuirk04ImmutableTag(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s)
	m, other := content.Image("x", nil), content.Image("y", nil)
	load(t, s, "app", m, "v1", "latest")
	s.Change("app", Settings{Mutability: "IMMUTABLE"})
	w.want(400, "TAG_INVALID", w.put("app", "v1", m)) // the same digest
	w.blobs("app", other)
	w.want(400, "cannot be overwritten because the repository is immutable", w.put("app", "v1", other))
	w.want(201, "", w.put("app", other.Digest.String(), other))
	w.want(201, "", w.put("app", "v2", other))
	s.Change("app", Settings{Mutability: "IMMUTABLE_WITH_EXCLUSION", Exclusions: []string{"late*"}})
	w.want(201, "", w.put("app", "latest", other))
	w.want(400, "TAG_INVALID", w.put("app", "v1", m))
	s.Change("app", Settings{Mutability: "MUTABLE_WITH_EXCLUSION"})
	w.want(400, "TAG_INVALID", w.put("app", "latest", other))
	w.want(201, "", w.put("app", "v1", m))
}

func TestQuirk05SameDigestAgain(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s)
	m := content.Image("x", nil)
	load(t, s, "app", m, "v1")
	w.want(201, "", w.put("app", "v1", m))
}

func TestQuirk06Mount(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s)
	m := content.Image("x", []content.Blob{content.Layer("base", 1000)})
	load(t, s, "lib", m, "v1")
	for _, repo := range []string{"app", "other-key", "cached", "fresh"} {
		s.Create(repo)
	}
	mount := func(to, from string) answer {
		return w.do("POST", fmt.Sprintf("/v2/%s/blobs/uploads/?mount=%s&from=%s", to, m.Blobs[1].Digest, from), nil)
	}
	w.want(202, "", mount("app", "lib")) // the account has not switched it on
	_, err := sdk(s, s.IAM().User("admin")).PutAccountSetting(t.Context(),
		&ecr.PutAccountSettingInput{Name: aws.String("BLOB_MOUNTING"), Value: aws.String("ENABLED")})
	if err != nil {
		t.Fatal(err)
	}
	w.want(201, "", mount("app", "lib"))
	s.Change("other-key", Settings{KMSKey: "alias/other"})
	w.want(202, "", mount("other-key", "lib"))
	s.Change("lib", Settings{PullThrough: true})
	w.want(202, "", mount("fresh", "lib"))
	s.Change("lib", Settings{})
	w.signIn(s.IAM().User("pusher", "ecr:GetAuthorizationToken", "ecr:InitiateLayerUpload"))
	w.want(202, "", mount("fresh", "lib")) // who may not read there may not mount
	w.want(202, "", mount("fresh", "absent"))
}

func TestQuirk07PutImageRate(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s)
	m := content.Image("x", nil)
	load(t, s, "app", m, "v1")
	s.Configure(func(q *Quirks) { q.Rates["PutImage"] = 0.001 }) // one, and the next long after the test
	w.want(201, "", w.put("app", "v2", m))
	a := w.want(429, "TOOMANYREQUESTS", w.put("app", "v3", m))
	if a.header.Get("Retry-After") != "" {
		t.Errorf("Retry-After is %s", a.header.Get("Retry-After"))
	}
	s.Configure(func(q *Quirks) { q.Rates = map[string]float64{"InitiateLayerUpload": 0.001} })
	w.want(202, "", w.do("POST", "/v2/app/blobs/uploads/", nil))
	w.want(429, "Rate exceeded", w.do("POST", "/v2/app/blobs/uploads/", nil))
	if rates := Defaults().Rates; rates["PutImage"] != 10 || rates["InitiateLayerUpload"] != 100 || rates["CompleteLayerUpload"] != 100 {
		t.Errorf("the usual rates are %v", rates)
	}
}

func TestBucket(t *testing.T) {
	start := time.Unix(1000, 0)
	b := &bucket{rate: 10, tokens: 10, at: start}
	taken := func(at time.Duration) (n int) {
		for b.take(start.Add(at)) {
			n++
		}
		return n
	}
	for _, tt := range []struct {
		at   time.Duration
		want int
	}{{0, 10}, {100 * time.Millisecond, 1}, {600 * time.Millisecond, 5}, {time.Minute, 10}} {
		if n := taken(tt.at); n != tt.want {
			t.Errorf("after %v: %d taken, want %d", tt.at, n, tt.want)
		}
	}
}

func TestQuirk08Quotas(t *testing.T) {
	s := New(t, Options{Quirks: func(q *Quirks) {
		q.Repositories, q.ImagesPerRepository, q.TagsPerImage = 2, 2, 2
	}})
	w := newWire(t, s)
	one, two, three := content.Image("1", nil), content.Image("2", nil), content.Image("3", nil)
	load(t, s, "app", one, "a", "b")
	load(t, s, "app", two)
	w.want(400, "maximum number of tags", w.put("app", "c", one))
	w.want(201, "", w.put("app", "b", one)) // it has that one already
	w.blobs("app", three)
	w.want(400, "maximum number of images", w.put("app", "d", three))
	s.Configure(func(q *Quirks) { q.QuotaStatus, q.QuotaCode = 405, "UNSUPPORTED" })
	w.want(405, "UNSUPPORTED", w.put("app", "d", three))
	s.Create("other")
	_, err := sdk(s, s.IAM().User("admin")).CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("third")})
	failsWith(t, "LimitExceededException", err)
}

func TestQuirk09Archived(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s)
	cold, warm := content.Image("cold", nil), content.Image("warm", nil)
	load(t, s, "app", cold, "v1")
	load(t, s, "app", warm, "v2")
	s.Change("app", Settings{Archived: []string{cold.Digest.String()}})
	w.want(403, "archived", w.do("GET", "/v2/app/manifests/v1", nil))
	w.want(403, "", w.do("HEAD", "/v2/app/manifests/v1", nil))
	s.Configure(func(q *Quirks) { q.ArchivedStatus = 404 })
	w.want(404, "archived", w.do("GET", "/v2/app/manifests/"+cold.Digest.String(), nil))
	c := sdk(s, s.IAM().User("reader"))
	for status, want := range map[types.ImageStatusFilter]int{"": 1, types.ImageStatusFilterArchived: 1, types.ImageStatusFilterAny: 2} {
		in := &ecr.DescribeImagesInput{RepositoryName: aws.String("app")}
		if status != "" {
			in.Filter = &types.DescribeImagesFilter{ImageStatus: status}
		}
		out, err := c.DescribeImages(t.Context(), in)
		if err != nil || len(out.ImageDetails) != want {
			t.Errorf("with status %q: %d images (%v), want %d", status, len(out.ImageDetails), err, want)
		}
	}
}

func TestQuirk10HiddenLayer(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s)
	s.Create("app")
	m := content.Image("x", []content.Blob{content.Layer("l", 100)})
	w.blobs("app", m)
	blob := "/v2/app/blobs/" + m.Blobs[1].Digest.String()
	w.want(200, "", w.do("HEAD", blob, nil))
	w.want(404, "", w.do("GET", blob, nil))
	w.want(201, "", w.put("app", "v1", m))
	a := w.want(307, "", w.do("GET", blob, nil))
	w.want(400, "Only one auth mechanism", w.do("GET", a.header.Get("Location"), nil))
	w.password = ""
	w.want(200, "", w.do("GET", a.header.Get("Location"), nil))
	s.Set(func(q *registrytest.Quirks) { q.HiddenLayers = false })
}

func TestQuirk11ChildrenFirst(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s)
	s.Create("app")
	child := content.Image("x", nil)
	ix := content.Index([]*content.Manifest{child})
	w.blobs("app", child)
	w.want(400, "MANIFEST_BLOB_UNKNOWN", w.put("app", "v1", ix))
	w.want(201, "", w.put("app", child.Digest.String(), child))
	w.want(201, "", w.put("app", "v1", ix))
}

func TestQuirk12Referrers(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s)
	m := content.Image("x", nil)
	sbom := content.Refer(m, "application/x.sbom", "one")
	load(t, s, "app", m, "v1")
	path := "/v2/app/referrers/" + m.Digest.String()
	w.want(200, sbom.Digest.String(), w.do("GET", path, nil))
	s.Set(func(q *registrytest.Quirks) { q.NoReferrers, q.LyingSubject = true, true })
	w.want(404, "", w.do("GET", path, nil))
	if a := w.want(201, "", w.put("app", sbom.Digest.String(), sbom)); a.header.Get("OCI-Subject") != m.Digest.String() {
		t.Errorf("OCI-Subject is %q", a.header.Get("OCI-Subject"))
	}
	const artifact = "application/vnd.oci.artifact.manifest.v1+json"
	s.Set(func(q *registrytest.Quirks) { q.RefuseTypes = []string{artifact} })
	w.want(405, "UNSUPPORTED", w.do("PUT", "/v2/app/manifests/x", []byte(`{"mediaType":"`+artifact+`"}`), "Content-Type: "+artifact))
}

func TestQuirk13TokenExpiry(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s)
	s.ExpireTokens()
	w.want(403, "Your authorization token has expired. Reauthenticate and try again.", w.do("GET", "/v2/", nil))
	s.Configure(func(q *Quirks) { q.ExpiredStatus = 401 })
	w.want(401, "DENIED", w.do("GET", "/v2/", nil))
	w.signIn(s.IAM().User("again"))
	w.want(200, "", w.do("GET", "/v2/", nil))
	s.IAM().ForgetTokens()
	a := w.want(401, "Not Authorized", w.do("GET", "/v2/", nil))
	if got := a.header.Get("Www-Authenticate"); got != fmt.Sprintf(`Basic realm="%s/",service="ecr.amazonaws.com"`, s.URL()) {
		t.Errorf("challenge %s", got)
	}
	if a := w.do("GET", "/v2/", nil, "Authorization: Bearer "+w.password); a.status != 401 {
		t.Errorf("a bearer token is answered %d", a.status)
	}
}

func TestQuirk14ConvertsByTag(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s)
	m := content.Image("x", nil)
	load(t, s, "app", m, "v1")
	const narrow = "Accept: application/vnd.docker.distribution.manifest.v2+json"
	a := w.want(200, "docker.distribution", w.do("GET", "/v2/app/manifests/v1", nil, narrow))
	if d, err := v1.NewHash(a.header.Get("Docker-Content-Digest")); err != nil || d == m.Digest || content.Hash([]byte(a.body)) != d {
		t.Errorf("converted to %s (%v)", d, err)
	}
	a = w.want(200, "", w.do("GET", "/v2/app/manifests/v1", nil, "Accept: */*"))
	if a.body != string(m.Raw) {
		t.Error("with a wide Accept it is not what was pushed")
	}
	s.Set(func(q *registrytest.Quirks) { q.ConvertByTag = false })
	if a := w.do("GET", "/v2/app/manifests/v1", nil, narrow); a.status != 404 {
		t.Errorf("without the quirk a narrow Accept is answered %d", a.status)
	}
}

// TestTagsList: pages by Link, and never more than a thousand.
func TestTagsList(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s)
	var tags []string
	for i := range 101 {
		tags = append(tags, fmt.Sprintf("v%03d", i))
	}
	load(t, s, "app", content.Image("x", nil), tags...)
	a := w.want(200, "v099", w.do("GET", "/v2/app/tags/list", nil))
	if strings.Contains(a.body, "v100") || a.header.Get("Link") != `</v2/app/tags/list?last=v099&n=100>; rel="next"` {
		t.Errorf("the first page links to %s", a.header.Get("Link"))
	}
	w.want(405, "less than or equal to 1000", w.do("GET", "/v2/app/tags/list?n=1001", nil))
}
