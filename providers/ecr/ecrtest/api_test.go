package ecrtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/transship/transship/providers/registrytest/content"
)

// TestSignatures: who is not known, is late, signs for elsewhere or signs wrongly
// is refused as AWS refuses them.
func TestSignatures(t *testing.T) {
	s := New(t, Options{})
	good := s.IAM().User("sync")
	call := func(k Key, opts ...func(*ecr.Options)) error {
		_, err := sdk(s, k, opts...).DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
		return err
	}
	if err := call(good); err != nil {
		t.Fatal(err)
	}
	failsWith(t, "UnrecognizedClientException", call(Key{ID: "AKIANOBODY", Secret: "x"}))
	failsWith(t, "InvalidSignatureException", call(Key{ID: good.ID, Secret: "wrong"}))
	failsWith(t, "InvalidSignatureException", call(good, func(o *ecr.Options) { o.Region = "us-east-1" }))
	failsWith(t, "AccessDeniedException", call(s.IAM().User("nobody", "ecr:Get*")))
	s.Configure(func(q *Quirks) { q.ClockOffset = 10 * time.Minute })
	failsWith(t, "InvalidSignatureException", call(good))
	s.Configure(func(q *Quirks) { q.ClockOffset = 0 })
	s.IAM().Revoke(good.ID)
	failsWith(t, "UnrecognizedClientException", call(good))
}

// TestErrorForms: all three ways to name an error lead to the SDK's own type.
func TestErrorForms(t *testing.T) {
	s := New(t, Options{})
	c := sdk(s, s.IAM().User("sync"))
	for _, f := range []Fault{{}, {Header: true}, {Prefix: true}} {
		f.Code, f.Message = "RepositoryNotFoundException", "gone"
		s.Fail(1, "DescribeImages", f)
		_, err := c.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("app")})
		var typed *types.RepositoryNotFoundException
		if !errors.As(err, &typed) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// TestImagePages: opaque tokens that survive what is pushed between two pages,
// and pages that hold nothing and go on.
func TestImagePages(t *testing.T) {
	s := New(t, Options{Quirks: func(q *Quirks) { q.EmptyPages = true }})
	c := sdk(s, s.IAM().User("sync"))
	want := map[string]bool{}
	for i := range 25 {
		m := content.Image(fmt.Sprint(i), nil)
		load(t, s, "app", m, fmt.Sprint("v", i))
		want[m.Digest.String()] = true
	}
	got, empty, pushed := map[string]int{}, 0, 100
	pages := ecr.NewDescribeImagesPaginator(c, &ecr.DescribeImagesInput{RepositoryName: aws.String("app")}, func(o *ecr.DescribeImagesPaginatorOptions) { o.Limit = 4 })
	for pages.HasMorePages() {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(out.ImageDetails) == 0 {
			empty++
		}
		for _, d := range out.ImageDetails {
			got[*d.ImageDigest]++
		}
		load(t, s, "app", content.Image(fmt.Sprint(pushed), nil)) // somebody pushes meanwhile
		pushed++
	}
	for digest := range want {
		if got[digest] != 1 {
			t.Errorf("%s came %d times", digest, got[digest])
		}
	}
	if empty < 5 {
		t.Errorf("%d empty pages", empty)
	}
	_, err := c.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("app"), NextToken: aws.String("nonsense")})
	failsWith(t, "InvalidParameterException", err)
	_, err = c.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("app"), MaxResults: aws.Int32(1001)})
	failsWith(t, "InvalidParameterException", err)
}

// TestImageDetails: what the listing says of an index, its child and a referrer.
func TestImageDetails(t *testing.T) {
	s := New(t, Options{})
	c := sdk(s, s.IAM().User("sync"))
	child := content.Image("x", []content.Blob{content.Layer("l", 5000)})
	ix := content.Index([]*content.Manifest{child})
	sig := content.Refer(ix, "application/x.sig", "sig")
	load(t, s, "app", ix, "v2", "v1")
	out, err := c.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("app")})
	if err != nil || len(out.ImageDetails) != 3 {
		t.Fatalf("%d images (%v)", len(out.ImageDetails), err)
	}
	for _, d := range out.ImageDetails {
		switch *d.ImageDigest {
		case ix.Digest.String():
			if !slices.Equal(d.ImageTags, []string{"v1", "v2"}) || *d.ImageSizeInBytes < 5000 || d.SubjectManifestDigest != nil {
				t.Errorf("the index is %+v", d)
			}
		case child.Digest.String():
			if len(d.ImageTags) != 0 || *d.ImageManifestMediaType != string(child.MediaType) {
				t.Errorf("the child is %+v", d)
			}
		case sig.Digest.String():
			if aws.ToString(d.SubjectManifestDigest) != ix.Digest.String() || aws.ToString(d.ArtifactMediaType) != "application/x.sig" || d.ImagePushedAt.IsZero() {
				t.Errorf("the referrer is %+v", d)
			}
		}
	}
	list, err := c.ListImages(t.Context(), &ecr.ListImagesInput{RepositoryName: aws.String("app")})
	if err != nil || len(list.ImageIds) != 4 {
		t.Errorf("%d image ids (%v), want two tags and two untagged", len(list.ImageIds), err)
	}
	refs, err := c.ListImageReferrers(t.Context(), &ecr.ListImageReferrersInput{RepositoryName: aws.String("app"),
		SubjectId: &types.SubjectIdentifier{ImageDigest: aws.String(ix.Digest.String())}})
	if err != nil || len(refs.Referrers) != 1 || *refs.Referrers[0].Digest != sig.Digest.String() {
		t.Errorf("referrers %+v (%v)", refs, err)
	}
}

// TestDeleteImages: the last tag takes its image along, and a child stays.
func TestDeleteImages(t *testing.T) {
	s := New(t, Options{})
	c := sdk(s, s.IAM().User("sync"))
	child := content.Image("x", nil)
	load(t, s, "app", content.Index([]*content.Manifest{child}), "ix")
	m := content.Image("y", nil)
	load(t, s, "app", m, "a", "b")
	out, err := c.BatchDeleteImage(t.Context(), &ecr.BatchDeleteImageInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{
		{ImageDigest: aws.String(child.Digest.String())}, {ImageTag: aws.String("a")}, {ImageTag: aws.String("absent")}}})
	if err != nil || len(out.ImageIds) != 1 || len(out.Failures) != 2 || out.Failures[0].FailureCode != types.ImageFailureCodeImageReferencedByManifestList {
		t.Fatalf("%+v (%v)", out, err)
	}
	if _, ok := s.Image("app", m.Digest.String()); !ok {
		t.Error("the image went with its first tag")
	}
	_, err = c.BatchDeleteImage(t.Context(), &ecr.BatchDeleteImageInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("b")}}})
	if _, ok := s.Image("app", m.Digest.String()); ok || err != nil {
		t.Errorf("the image stayed without a tag (%v)", err)
	}
}

// TestCreateOnce: of many who create a repository at once, one does.
func TestCreateOnce(t *testing.T) {
	s := New(t, Options{})
	c := sdk(s, s.IAM().User("sync"))
	var g sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		g.Go(func() {
			_, errs[i] = c.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("team/app")})
		})
	}
	g.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
			continue
		}
		failsWith(t, "RepositoryAlreadyExistsException", err)
	}
	if made != 1 {
		t.Errorf("%d created it", made)
	}
	for _, name := range []string{"x", "Team/app", "a//b", strings.Repeat("a", 257)} {
		_, err := c.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(name)})
		failsWith(t, "InvalidParameterException", err)
	}
}

// TestRepositoryPages: a thousand at most, by prefix never, by name no paging.
func TestRepositoryPages(t *testing.T) {
	s := New(t, Options{})
	c := sdk(s, s.IAM().User("sync"))
	for i := range 205 {
		s.Create(fmt.Sprintf("app-%03d", i))
	}
	n, calls := 0, 0
	pages := ecr.NewDescribeRepositoriesPaginator(c, &ecr.DescribeRepositoriesInput{})
	for ; pages.HasMorePages(); calls++ {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n += len(out.Repositories)
	}
	if n != 205 || calls != 3 || s.Calls()["DescribeRepositories"] != 3 {
		t.Errorf("%d repositories in %d calls", n, calls)
	}
	_, err := c.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"app-001", "absent"}})
	failsWith(t, "RepositoryNotFoundException", err)
	_, err = c.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RegistryId: aws.String("999999999999"), RepositoryNames: []string{"app-001"}})
	failsWith(t, "RepositoryNotFoundException", err)
}

func TestThrottle(t *testing.T) {
	s := New(t, Options{Quirks: func(q *Quirks) { q.Rates["DescribeRepositories"] = 0.001 }})
	c := sdk(s, s.IAM().User("sync"))
	if _, err := c.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{}); err != nil {
		t.Fatal(err)
	}
	_, err := c.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
	failsWith(t, "ThrottlingException", err)
}

// TestSTS: roles are given to those whom they trust, with the external id that
// they want, and their sessions end.
func TestSTS(t *testing.T) {
	s := New(t, Options{})
	iam := s.IAM()
	user := iam.User("sync")
	role := iam.Role("123456789012", "mirror", Trust{Principals: []string{"arn:aws:iam::123456789012:user/sync"}, ExternalID: "secret", Subjects: []string{"system:serviceaccount:a:b"}})
	assume := func(k Key, id *string) (*sts.AssumeRoleOutput, error) {
		return stsClient(s, k).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("me"), ExternalId: id})
	}
	_, err := assume(user, nil)
	failsWith(t, "AccessDenied", err)
	_, err = assume(iam.User("other"), aws.String("secret"))
	failsWith(t, "AccessDenied", err)
	_, err = assume(Key{ID: "AKIANOBODY", Secret: "x"}, nil)
	failsWith(t, "InvalidClientTokenId", err)
	out, err := assume(user, aws.String("secret"))
	if err != nil {
		t.Fatal(err)
	}
	session := Key{*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken}
	who, err := stsClient(s, session).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *who.Arn != "arn:aws:sts::123456789012:assumed-role/mirror/me" {
		t.Errorf("we are %+v (%v)", who, err)
	}
	iam.ExpireSessions()
	_, err = sdk(s, session).DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
	failsWith(t, "ExpiredTokenException", err)

	web := func(token string) error {
		_, err := stsClient(s, Key{}).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{RoleArn: &role, RoleSessionName: aws.String("pod"), WebIdentityToken: &token})
		return err
	}
	if err := web(iam.WebIdentity("system:serviceaccount:a:b", "sts.amazonaws.com", time.Minute)); err != nil {
		t.Error(err)
	}
	failsWith(t, "AccessDenied", web(iam.WebIdentity("system:serviceaccount:a:other", "sts.amazonaws.com", time.Minute)))
	failsWith(t, "InvalidIdentityToken", web(iam.WebIdentity("system:serviceaccount:a:b", "other", time.Minute)))
	failsWith(t, "ExpiredTokenException", web(iam.WebIdentity("system:serviceaccount:a:b", "sts.amazonaws.com", -time.Minute)))
}
