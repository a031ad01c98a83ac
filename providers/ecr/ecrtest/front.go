package ecrtest

import (
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/transship/transship/providers/registrytest"
)

// actions are the permissions that requests to the registry need.
var actions = map[registrytest.Class]string{
	registrytest.Catalog:        "ecr:DescribeRepositories",
	registrytest.Tags:           "ecr:ListImages",
	registrytest.ManifestHead:   "ecr:BatchGetImage",
	registrytest.ManifestGet:    "ecr:BatchGetImage",
	registrytest.ManifestPut:    "ecr:PutImage",
	registrytest.ManifestDelete: "ecr:BatchDeleteImage",
	registrytest.Referrers:      "ecr:BatchGetImage",
	registrytest.BlobHead:       "ecr:BatchCheckLayerAvailability",
	registrytest.BlobGet:        "ecr:GetDownloadUrlForLayer",
	registrytest.BlobDelete:     "ecr:BatchDeleteImage",
	registrytest.Mount:          "ecr:InitiateLayerUpload",
	registrytest.UploadPost:     "ecr:InitiateLayerUpload",
	registrytest.UploadPatch:    "ecr:UploadLayerPart",
	registrytest.UploadPut:      "ecr:CompleteLayerUpload",
	registrytest.UploadStatus:   "ecr:UploadLayerPart",
	registrytest.UploadDelete:   "ecr:UploadLayerPart",
}

// rates are the operations whose rate a request to the registry counts against.
var rates = map[registrytest.Class]string{
	registrytest.ManifestPut: "PutImage",
	registrytest.UploadPost:  "InitiateLayerUpload",
	registrytest.Mount:       "InitiateLayerUpload",
	registrytest.UploadPut:   "CompleteLayerUpload",
}

// admit is what ECR asks of each request to the registry: whose token it is,
// whether they may, not too fast, and whether the repository is there.
func (s *Server) admit(a *registrytest.Ask) *registrytest.Refusal {
	who, f := s.signedIn(a)
	if f != nil {
		return f
	}
	a.User = who.ID
	if action := actions[a.Class]; action != "" && !s.iam.may(who.who, action) {
		return s.notAllowed(who, action, a.Repo)
	}
	if op := rates[a.Class]; op != "" && s.throttled(op) {
		return &registrytest.Refusal{Status: 429, Code: "TOOMANYREQUESTS", Message: "Rate exceeded"}
	}
	if a.Repo != "" && !s.Exists(a.Repo) {
		pushes := a.Class == registrytest.UploadPost || a.Class == registrytest.Mount || a.Class == registrytest.ManifestPut
		if !pushes || !s.byTemplate(a.Repo) {
			return &registrytest.Refusal{Status: 404, Code: "NAME_UNKNOWN", Message: fmt.Sprintf(
				"The repository with name '%s' does not exist in the registry with id '%s'", a.Repo, s.account)}
		}
	}
	return s.inArchive(a)
}

func (s *Server) signedIn(a *registrytest.Ask) (*key, *registrytest.Refusal) {
	user, password, _ := a.Request.BasicAuth()
	who, expired, ok := s.iam.holder(password, s.region)
	switch {
	case user != "AWS" || !ok:
		return nil, &registrytest.Refusal{Status: 401, Text: "Not Authorized",
			Header: http.Header{"Www-Authenticate": {fmt.Sprintf("Basic realm=%q,service=%q", s.URL()+"/", "ecr.amazonaws.com")}}}
	case expired:
		return nil, &registrytest.Refusal{Status: s.config().ExpiredStatus, Code: "DENIED",
			Message: "Your authorization token has expired. Reauthenticate and try again."}
	}
	return who, nil
}

func (s *Server) notAllowed(who *key, action, repo string) *registrytest.Refusal {
	resource := "*"
	if repo != "" {
		resource = s.arn(repo)
	}
	return &registrytest.Refusal{Status: 403, Code: "DENIED", Message: fmt.Sprintf(
		"User: %s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action",
		who.session, action, resource, action)}
}

// inArchive refuses to read what has to be restored first.
func (s *Server) inArchive(a *registrytest.Ask) *registrytest.Refusal {
	if a.Class != registrytest.ManifestGet && a.Class != registrytest.ManifestHead {
		return nil
	}
	i, ok := s.Image(a.Repo, a.Ref)
	if !ok || s.status(a.Repo, i.Digest.String()) != "ARCHIVED" {
		return nil
	}
	q := s.config()
	return &registrytest.Refusal{Status: q.ArchivedStatus, Code: q.ArchivedCode, Message: fmt.Sprintf(
		"The image with digest '%s' in the repository with name '%s' is archived", i.Digest, a.Repo)}
}

// put is what ECR asks of a manifest: that its tag may move, and that it is within
// the quotas. The server's own lock is held.
func (s *Server) put(p registrytest.Putting) *registrytest.Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.quirks
	switch {
	case p.Tag != "" && p.Present != "" && s.repo(p.Repo).immutable(p.Tag):
		return &registrytest.Refusal{Status: 400, Code: "TAG_INVALID", Message: fmt.Sprintf(
			"The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the repository is immutable.", p.Tag, p.Repo)}
	case p.Fresh && p.Images >= q.ImagesPerRepository:
		return &registrytest.Refusal{Status: q.QuotaStatus, Code: q.QuotaCode, Message: fmt.Sprintf(
			"The repository with name '%s' in the registry with id '%s' already has the maximum number of images: limit exceeded", p.Repo, s.account)}
	case p.Tag != "" && p.Present != p.Digest && p.Tags() >= q.TagsPerImage:
		return &registrytest.Refusal{Status: q.QuotaStatus, Code: q.QuotaCode, Message: fmt.Sprintf(
			"The image with digest '%s' already has the maximum number of tags: limit exceeded", p.Digest)}
	}
	return nil
}

// immutable reports whether a tag that is there stays where it is.
func (r *repository) immutable(tag string) bool {
	excluded := false
	for _, f := range r.exclusions {
		ok, err := path.Match(f.Filter, tag)
		excluded = excluded || ok && err == nil
	}
	if strings.HasPrefix(r.mutability, "IMMUTABLE") {
		return !excluded
	}
	return excluded // MUTABLE_WITH_EXCLUSION
}

// mount is what ECR asks of a mount.
func (s *Server) mount(a *registrytest.Ask, from string) bool {
	if !s.Exists(from) || !s.iam.mayByKey(a.User, "ecr:GetDownloadUrlForLayer") {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	source, target := s.repo(from), s.repo(a.Repo)
	return s.settings[blobMounting] == "ENABLED" && source.encryption == target.encryption && !source.pullThrough
}

func (i *IAM) mayByKey(id, action string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	k := i.keys[id]
	return k != nil && k.who.may(action)
}

// ExpireTokens ends every registry token, as if its time were over: it is no
// registrytest token that ECR gives.
func (s *Server) ExpireTokens() { s.iam.ExpireTokens() }
