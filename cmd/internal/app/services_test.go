package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecrpublic/ecrpublictest"
	"github.com/transship/transship/providers/gitlab/gitlabtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// services are a GitLab and an ECR Public, and commands over a policy of both.
type services struct {
	t      *testing.T
	gitlab *gitlabtest.Server
	aws    *ecrpublictest.Server
	file   string
	state  string
}

const ofServices = `registries:
  lab:    {host: %q, provider: gitlab, apiHost: %q, plainHTTP: true, auth: {username: sync, password: "file:%s"}}
  public: {host: %q, provider: ecrpublic, plainHTTP: true}
rules:
  - {name: out, from: {registry: lab, repositories: {include: ["acme/app/*"]}}, to: [{registry: public, repository: "{{.Repository | replace \"acme/app\" \"acme/mirror\"}}"}]}
  - {name: in, from: {registry: public, repositories: {include: [acme/tools]}}, to: [{registry: lab, repository: acme/app/tools}]}
`

func serve(t *testing.T) *services {
	t.Helper()
	dir := t.TempDir()
	s := &services{t: t, gitlab: gitlabtest.New(t, gitlabtest.Options{}), aws: ecrpublictest.New(t, ecrpublictest.Options{}),
		file: filepath.Join(dir, "policy.yaml"), state: filepath.Join(dir, "state.db")}
	s.gitlab.Project("acme/app")
	token := filepath.Join(dir, "token")
	key := s.aws.AWS().IAM().User("sync")
	for path, text := range map[string]string{
		token:  s.gitlab.Token("sync", "read_registry", "write_registry", "read_api"),
		s.file: fmt.Sprintf(ofServices, s.gitlab.Host(), s.gitlab.GitLab(), token, s.aws.Host()),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": key.ID, "AWS_SECRET_ACCESS_KEY": key.Secret, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_REGION": "eu-west-1",
		"AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none",
		"AWS_ENDPOINT_URL_ECR_PUBLIC": s.aws.Endpoint(), "AWS_ENDPOINT_URL_STS": s.aws.Endpoint(),
	} {
		t.Setenv(name, value)
	}
	return s
}

func (s *services) run(args ...string) string {
	s.t.Helper()
	var out, errs bytes.Buffer
	code := Main(append(args, "-c", s.file, "--state", s.state), strings.NewReader(""), &out, &errs)
	if code != 0 {
		s.t.Errorf("%v: exit code %d", args, code)
	}
	return out.String() + errs.String()
}

// TestGitLabAndECRPublic: images go from one to the other with what refers to them,
// both ways; an unchanged pass writes nothing and asks for no tag on its own; what
// GitLab's clients will not find is told.
func TestGitLabAndECRPublic(t *testing.T) {
	s := serve(t)
	app := content.Image("app", []content.Blob{content.Layer("base", 2000)})
	sbom := content.Refer(app, "application/x.sbom", "sbom")
	tool := content.Image("tool", []content.Blob{content.Layer("base", 2000)})
	sig := content.Refer(tool, "application/x.sig", "sig")
	if err := s.gitlab.Load("acme/app/api", app, "v1", "latest"); err != nil {
		t.Fatal(err)
	}
	if err := s.aws.Load("acme/tools", tool, "v2"); err != nil {
		t.Fatal(err)
	}
	told := s.run("plan")
	s.run("sync")
	for _, tag := range []string{"v1", "latest"} {
		if err := s.aws.Verify("acme/mirror/api", tag); err != nil {
			t.Error(err)
		}
	}
	if list := s.aws.Referrers("acme/mirror/api", app.Digest); len(list) != 1 || list[0].Digest != sbom.Digest {
		t.Errorf("at ECR Public refer to it %v", list)
	}
	if err := s.gitlab.Verify("acme/app/tools", "v2"); err != nil {
		t.Error(err)
	}
	if _, there := s.gitlab.Resolve("acme/app/tools", sig.Digest.String()); !there || !strings.Contains(told, "1 referrers are brought and not to be found there") {
		t.Errorf("the signature is there: %v; told:\n%s", there, told)
	}
	if _, there := s.gitlab.Tags("acme/app/tools")[providers.FallbackTag(tool.Digest)]; there {
		t.Error("a fallback tag was written")
	}
	s.run("sync") // what the first pass brought to GitLab is a source of the other rule
	s.gitlab.ResetCounts()
	s.aws.ResetCounts()
	s.run("sync")
	for name, n := range map[string]registrytest.Counts{"GitLab": s.gitlab.Counts(), "ECR Public": s.aws.Counts()} {
		if n.Of(registrytest.ManifestPut)+n.Of(registrytest.UploadPost)+n.Of(registrytest.ManifestGet)+n.Of(registrytest.ManifestHead) != 0 {
			t.Errorf("an unchanged pass at %s:\n%s", name, n)
		}
	}
}

// TestDoctorOfServices: with a token and a key that may do what the policy asks for
// all is well, and it is told what is the least to grant.
func TestDoctorOfServices(t *testing.T) {
	s := serve(t)
	for repo, load := range map[string]func(string, *content.Manifest, ...string) error{"acme/app/api": s.gitlab.Load, "acme/tools": s.aws.Load} {
		if err := load(repo, content.Image("app", nil), "v1"); err != nil {
			t.Fatal(err)
		}
	}
	told := s.run("doctor")
	for _, want := range []string{"as sync", "user/sync", "write_registry", "ecr-public:PutImage", "CompleteLayerUpload 10/s"} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not told:\n%s", want, told)
		}
	}
}
