package gartest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	artifactregistry "cloud.google.com/go/artifactregistry/apiv1"
	pb "cloud.google.com/go/artifactregistry/apiv1/artifactregistrypb"
	"cloud.google.com/go/auth/credentials"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"github.com/transship/transship/providers/registrytest/content"
)

const (
	parent = "projects/acme/locations/europe-west1"
	mirror = parent + "/repositories/mirror"
)

func newRequest() *http.Request { return httptest.NewRequest("GET", "/", nil) }

// names drains an iterator of the client.
func names[T interface{ GetName() string }](t *testing.T, next func() (T, error)) (all []string) {
	t.Helper()
	for {
		v, err := next()
		if errors.Is(err, iterator.Done) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v.GetName())
	}
}

// TestLists: the real client pages through each list, slashes of package names
// encoded twice on the wire, as it does.
func TestLists(t *testing.T) {
	s := New(t, Options{})
	child := content.Image("x", []content.Blob{content.Layer("l", 5000)})
	ix := content.Index([]*content.Manifest{child})
	load(t, s, "acme/mirror/team/app", ix, "v1")
	for i := range 40 {
		load(t, s, "acme/mirror/team/app", ix, fmt.Sprintf("w%02d", i))
		load(t, s, fmt.Sprintf("acme/mirror/p%02d", i), child, "v1")
	}
	s.Repository("acme/other", Settings{Mode: "REMOTE_REPOSITORY"})
	c, ctx := sdk(t, s, s.IAM().Account("sync")), t.Context()
	if got := names(t, c.ListRepositories(ctx, &pb.ListRepositoriesRequest{Parent: parent}).Next); len(got) != 2 || got[0] != mirror {
		t.Errorf("repositories %v", got)
	}
	if got := names(t, c.ListPackages(ctx, &pb.ListPackagesRequest{Parent: mirror}).Next); len(got) != 41 || got[40] != mirror+"/packages/team%2Fapp" {
		t.Errorf("packages %v", got)
	}
	if n := s.Calls()["ListPackages"]; n != 2 {
		t.Errorf("%d pages, want 2 of the small default", n)
	}
	at := mirror + "/packages/team%2Fapp"
	if got := names(t, c.ListTags(ctx, &pb.ListTagsRequest{Parent: at, PageSize: 5000}).Next); len(got) != 41 || got[0] != at+"/tags/v1" {
		t.Errorf("tags %v", got)
	}
	if got := names(t, c.ListDockerImages(ctx, &pb.ListDockerImagesRequest{Parent: mirror, PageSize: 7}).Next); len(got) != 42 {
		t.Errorf("%d images", len(got))
	}
	s.Configure(func(q *Quirks) { q.RelatedTags = 10 })
	it := c.ListVersions(ctx, &pb.ListVersionsRequest{Parent: at, View: pb.VersionView_FULL})
	related := 0
	for {
		v, err := it.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		related += len(v.GetRelatedTags())
		if v.GetMetadata().GetFields()["mediaType"].GetStringValue() == "" {
			t.Errorf("version %v", v)
		}
	}
	if related != 10 {
		t.Errorf("%d related tags, want the quirk's", related)
	}
}

// TestOnceEncoded: others encode a package's name once.
func TestOnceEncoded(t *testing.T) {
	s := New(t, Options{})
	load(t, s, "acme/mirror/team/app", content.Image("x", nil), "v1")
	client := &http.Client{Transport: withToken(s.IAM().Token(s.IAM().Account("sync"), time.Minute))}
	resp, err := client.Get(s.Endpoint() + "/v1/" + mirror + "/packages/team%2Fapp/tags")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(raw), `packages/team%2Fapp/tags/v1"`) {
		t.Errorf("%s (%v)", raw, err)
	}
}

// TestRepositoryLife: made once, by an operation that takes a while, with settings;
// changed by a mask.
func TestRepositoryLife(t *testing.T) {
	s := New(t, Options{Quirks: func(q *Quirks) { q.SlowCreate = 1 }})
	c, ctx := sdk(t, s, s.IAM().Account("sync")), t.Context()
	in := &pb.CreateRepositoryRequest{Parent: parent, RepositoryId: "mirror", Repository: &pb.Repository{Format: pb.Repository_DOCKER,
		KmsKeyName: "key", Labels: map[string]string{"a": "b"}, FormatConfig: &pb.Repository_DockerConfig{DockerConfig: &pb.Repository_DockerRepositoryConfig{ImmutableTags: true}}}}
	op, err := c.CreateRepository(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.CreateRepository(ctx, in)
	failsWith(t, 409, "", err)
	for range 2 {
		if _, err := op.Poll(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if !op.Done() {
		t.Error("not made after two questions")
	}
	got, err := c.GetRepository(ctx, &pb.GetRepositoryRequest{Name: mirror})
	if err != nil || got.GetMode() != pb.Repository_STANDARD_REPOSITORY || got.GetFormat() != pb.Repository_DOCKER ||
		!got.GetDockerConfig().GetImmutableTags() || got.GetKmsKeyName() != "key" {
		t.Errorf("%v (%v)", got, err)
	}
	_, err = c.GetRepository(ctx, &pb.GetRepositoryRequest{Name: parent + "/repositories/absent"})
	failsWith(t, 404, "", err)
	load(t, s, "acme/mirror/app", content.Image("x", nil), "v1")
	failsWith(t, 400, "", c.DeleteTag(ctx, &pb.DeleteTagRequest{Name: mirror + "/packages/app/tags/v1"})) // FAILED_PRECONDITION
}

// TestRefusals: nobody, somebody who may not, a project that is not there, too many.
func TestRefusals(t *testing.T) {
	s := New(t, Options{})
	s.Repository("acme/mirror", Settings{})
	get := func(c *artifactregistry.Client, name string) error {
		_, err := c.GetRepository(context.Background(), &pb.GetRepositoryRequest{Name: name})
		return err
	}
	failsWith(t, 401, "ACCESS_TOKEN_EXPIRED", get(sdk(t, s, "nobody"), mirror))
	reader := s.IAM().Account("reader", "artifactregistry.tags.list")
	failsWith(t, 403, "IAM_PERMISSION_DENIED", get(sdk(t, s, reader), mirror))
	all := s.IAM().Account("sync")
	failsWith(t, 403, "IAM_PERMISSION_DENIED", get(sdk(t, s, all), strings.Replace(mirror, "acme", "absent", 1)))
	failsWith(t, 404, "", get(sdk(t, s, all), strings.Replace(mirror, "west1", "west9", 1)))
	s.Configure(func(q *Quirks) { q.Requests = 1 })
	c := sdk(t, s, all)
	if err := get(c, mirror); err != nil {
		t.Error(err)
	}
	failsWith(t, 429, "RATE_LIMIT_EXCEEDED", get(c, mirror))
}

// TestKeyFile: the real library gets tokens with a key file, and none once it is
// revoked; tokens end.
func TestKeyFile(t *testing.T) {
	s := New(t, Options{Quirks: func(q *Quirks) { q.TokenLife = time.Second }})
	s.Repository("acme/mirror", Settings{})
	file := s.KeyFile(s.IAM().Account("sync"))
	token := func() (string, error) {
		creds, err := credentials.NewCredentialsFromJSON(credentials.ServiceAccount, file, &credentials.DetectOptions{Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := creds.Token(t.Context())
		if err != nil {
			return "", err
		}
		return got.Value, nil
	}
	value, err := token()
	if err != nil {
		t.Fatal(err)
	}
	c, err := artifactregistry.NewRESTClient(t.Context(), option.WithEndpoint(s.Endpoint()), option.WithHTTPClient(&http.Client{Transport: withToken(value)}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetRepository(t.Context(), &pb.GetRepositoryRequest{Name: mirror}); err != nil {
		t.Error(err)
	}
	s.IAM().ExpireTokens()
	_, err = c.GetRepository(t.Context(), &pb.GetRepositoryRequest{Name: mirror})
	failsWith(t, 401, "ACCESS_TOKEN_EXPIRED", err)
	s.RevokeKey(file)
	if _, err := token(); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("with a revoked key: %v", err)
	}
}
