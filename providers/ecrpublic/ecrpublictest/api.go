package ecrpublictest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/registrytest"
)

func failf(code, format string, args ...any) *ecrtest.Fault {
	return &ecrtest.Fault{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}

// operations are those of ECR Public that are here.
var operations = map[string]func(*Server, ecrtest.Call) (any, *ecrtest.Fault){
	"GetAuthorizationToken": (*Server).getAuthorizationToken,
	"DescribeRegistries":    (*Server).describeRegistries,
	"DescribeRepositories":  (*Server).describeRepositories,
	"CreateRepository":      (*Server).createRepository,
	"DeleteRepository":      (*Server).deleteRepository,
	"DescribeImages":        (*Server).describeImages,
	"DescribeImageTags":     (*Server).describeImageTags,
}

func (s *Server) do(c ecrtest.Call) (any, *ecrtest.Fault) {
	do := operations[c.Op]
	if do == nil {
		return nil, failf("UnknownOperationException", "no operation %s", c.Op)
	}
	return do(s, c)
}

// read reads a call's input. Another account's registry can be named by nobody here.
func read(c ecrtest.Call, in any) *ecrtest.Fault {
	var to struct {
		Registry string `json:"registryId"`
	}
	if err := json.Unmarshal(c.Body, in); err != nil {
		return failf("SerializationException", "%v", err)
	}
	if json.Unmarshal(c.Body, &to) == nil && to.Registry != "" && to.Registry != c.Account {
		return failf("RegistryNotFoundException", "The registry with id '%s' does not exist", to.Registry)
	}
	return nil
}

// getAuthorizationToken answers with an object, where ECR's own has a list.
func (s *Server) getAuthorizationToken(c ecrtest.Call) (any, *ecrtest.Fault) {
	if !c.May("sts:GetServiceBearerToken") {
		return nil, failf("AccessDeniedException", "%s", s.aws.Denial(c.Key, "sts:GetServiceBearerToken", "*"))
	}
	password := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(rand.Text(), 20)))
	s.mu.Lock()
	defer s.mu.Unlock()
	until := time.Now().Add(s.quirks.TokenLife)
	s.logins[password] = login{c.Key, until}
	type data struct {
		Token   []byte  `json:"authorizationToken"` // base64 in JSON
		Expires seconds `json:"expiresAt"`
	}
	return map[string]data{"authorizationData": {[]byte("AWS:" + password), seconds(until)}}, nil
}

func (s *Server) describeRegistries(c ecrtest.Call) (any, *ecrtest.Fault) {
	type alias struct {
		Name    string `json:"name"`
		Status  string `json:"status"`
		Primary bool   `json:"primaryRegistryAlias"`
		Default bool   `json:"defaultRegistryAlias"`
	}
	type registry struct {
		ID      string  `json:"registryId"`
		ARN     string  `json:"registryArn"`
		URI     string  `json:"registryUri"`
		Aliases []alias `json:"aliases"`
	}
	names := s.names(c.Account)
	all := []registry{}
	if len(names) > 0 {
		r := registry{ID: c.Account, ARN: "arn:aws:ecr-public::" + c.Account + ":registry/" + c.Account, URI: "public.ecr.aws/" + names[0]}
		for i, name := range names {
			r.Aliases = append(r.Aliases, alias{name, "ACTIVE", i == 0, i == len(names)-1})
		}
		all = append(all, r)
	}
	return map[string]any{"registries": all}, nil
}

// A repository is one in an answer. Its URI has the registry's real host.
type repository struct {
	ARN      string `json:"repositoryArn"`
	Registry string `json:"registryId"`
	Name     string `json:"repositoryName"`
	URI      string `json:"repositoryUri"`
}

// repositories are those of an account, sorted, by their names without the alias.
func (s *Server) repositories(account string) (names []string) {
	for _, repo := range s.Repositories() {
		if alias, name := split(repo); s.owner(alias) == account {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// path is a repository's with the account's primary alias, by which all are known.
func (s *Server) path(account, name string) string {
	names := s.names(account)
	if len(names) == 0 {
		return ""
	}
	return names[0] + "/" + name
}

func (s *Server) view(account, name string) repository {
	return repository{arn(account, name), account, name, "public.ecr.aws/" + s.path(account, name)}
}

// page is how lists are asked for.
type page struct {
	MaxResults *int
	NextToken  string
}

func (p page) bounds() (n int, after string, f *ecrtest.Fault) {
	if n = 100; p.MaxResults != nil {
		n = *p.MaxResults
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.NextToken)
	if n < 1 || n > 1000 || err != nil {
		return 0, "", failf("InvalidParameterException", "Invalid parameter at 'maxResults' or 'nextToken' failed to satisfy constraint")
	}
	return n, string(raw), nil
}

func token(after string) string { return base64.RawURLEncoding.EncodeToString([]byte(after)) }

func (s *Server) describeRepositories(c ecrtest.Call) (any, *ecrtest.Fault) {
	var in struct {
		RepositoryNames []string
		page
	}
	if f := read(c, &in); f != nil {
		return nil, f
	}
	var out struct {
		Repositories []repository `json:"repositories"`
		Next         string       `json:"nextToken,omitempty"`
	}
	out.Repositories = []repository{}
	for _, name := range in.RepositoryNames {
		if !s.Exists(s.path(c.Account, name)) {
			return nil, absent(c, name)
		}
		out.Repositories = append(out.Repositories, s.view(c.Account, name))
	}
	if len(in.RepositoryNames) > 0 {
		return out, nil
	}
	n, after, f := in.bounds()
	if f != nil {
		return nil, f
	}
	names := s.repositories(c.Account)
	i, found := slices.BinarySearch(names, after)
	if found {
		i++
	}
	rest := names[i:]
	for _, name := range rest[:min(n, len(rest))] {
		out.Repositories = append(out.Repositories, s.view(c.Account, name))
	}
	if len(rest) > n {
		out.Next = token(rest[n-1])
	}
	return out, nil
}

func absent(c ecrtest.Call, name string) *ecrtest.Fault {
	return failf("RepositoryNotFoundException", "The repository with name '%s' does not exist in the registry with id '%s'", name, c.Account)
}

var repositoryName = regexp.MustCompile(`^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$`)

func (s *Server) createRepository(c ecrtest.Call) (any, *ecrtest.Fault) {
	var in struct{ RepositoryName string }
	if f := read(c, &in); f != nil {
		return nil, f
	}
	name, path := in.RepositoryName, s.path(c.Account, in.RepositoryName)
	switch {
	case len(name) < 2 || len(name) > 205 || !repositoryName.MatchString(name):
		return nil, failf("InvalidParameterException", "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression'")
	case path == "":
		return nil, failf("RegistryNotFoundException", "The registry with id '%s' does not exist", c.Account)
	case s.Exists(path):
		return nil, failf("RepositoryAlreadyExistsException", "The repository with name '%s' already exists in the registry with id '%s'", name, c.Account)
	}
	s.Create(path)
	return map[string]repository{"repository": s.view(c.Account, name)}, nil
}

func (s *Server) deleteRepository(c ecrtest.Call) (any, *ecrtest.Fault) {
	var in struct {
		RepositoryName string
		Force          bool
	}
	if f := read(c, &in); f != nil {
		return nil, f
	}
	path := s.path(c.Account, in.RepositoryName)
	if !s.Exists(path) {
		return nil, absent(c, in.RepositoryName)
	}
	if !in.Force && len(s.Manifests(path)) > 0 {
		return nil, failf("RepositoryNotEmptyException", "The repository with name '%s' cannot be deleted because it still contains images", in.RepositoryName)
	}
	view := s.view(c.Account, in.RepositoryName)
	s.Drop(path)
	return map[string]repository{"repository": view}, nil
}

// An image is one in an answer: without subjects, and none in an archive.
type image struct {
	Registry   string   `json:"registryId"`
	Repository string   `json:"repositoryName"`
	Digest     string   `json:"imageDigest"`
	Tags       []string `json:"imageTags,omitempty"`
	Size       int64    `json:"imageSizeInBytes"`
	Pushed     seconds  `json:"imagePushedAt"`
	MediaType  string   `json:"imageManifestMediaType"`
	Artifact   string   `json:"artifactMediaType,omitempty"`
}

func imageOf(c ecrtest.Call, repo string, i registrytest.Image) image {
	out := image{Registry: c.Account, Repository: repo, Digest: i.Digest.String(), Tags: i.Tags, Pushed: seconds(i.Pushed),
		MediaType: string(i.MediaType), Artifact: i.Content.ArtifactType}
	for _, b := range i.Content.Blobs() {
		out.Size += max(0, b.Size)
	}
	return out
}

// listed reads the input of a list of a repository's images or tags.
func (s *Server) listed(c ecrtest.Call) (name, path, after string, n int, f *ecrtest.Fault) {
	var in struct {
		RepositoryName string
		page
	}
	if f := read(c, &in); f != nil {
		return "", "", "", 0, f
	}
	path = s.path(c.Account, in.RepositoryName)
	if !s.Exists(path) {
		return "", "", "", 0, absent(c, in.RepositoryName)
	}
	n, after, f = in.bounds()
	return in.RepositoryName, path, after, n, f
}

func (s *Server) describeImages(c ecrtest.Call) (any, *ecrtest.Fault) {
	name, path, after, n, f := s.listed(c)
	if f != nil {
		return nil, f
	}
	var out struct {
		Images []image `json:"imageDetails"`
		Next   string  `json:"nextToken,omitempty"`
	}
	all, more, _ := s.Images(path, after, n)
	out.Images = []image{}
	for _, i := range all {
		out.Images = append(out.Images, imageOf(c, name, i))
	}
	if more {
		out.Next = token(all[len(all)-1].Digest.String())
	}
	return out, nil
}

func (s *Server) describeImageTags(c ecrtest.Call) (any, *ecrtest.Fault) {
	name, path, after, n, f := s.listed(c)
	if f != nil {
		return nil, f
	}
	type tagged struct {
		Tag     string  `json:"imageTag"`
		Created seconds `json:"createdAt"`
		Image   image   `json:"imageDetail"`
	}
	var out struct {
		Tags []tagged `json:"imageTagDetails"`
		Next string   `json:"nextToken,omitempty"`
	}
	all, more, _ := s.TagPage(path, after, n)
	out.Tags = []tagged{}
	for _, t := range all {
		i, _ := s.Image(path, t.Digest)
		out.Tags = append(out.Tags, tagged{t.Tag, seconds(i.Pushed), imageOf(c, name, i)})
	}
	if more {
		out.Next = token(all[len(all)-1].Tag)
	}
	return out, nil
}

// seconds writes a time as AWS's JSON does: epoch seconds with fractions.
type seconds time.Time

func (t seconds) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", float64(time.Time(t).UnixMilli())/1000), nil
}
