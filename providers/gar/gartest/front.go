package gartest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/transship/transship/providers/registrytest"
)

// permissionOf is what a request to the registry needs.
func permissionOf(a *registrytest.Ask) string {
	switch {
	case a.Class == registrytest.ManifestDelete || a.Class == registrytest.BlobDelete:
		return "artifactregistry.repositories.deleteArtifacts"
	case a.Write() || a.Class == registrytest.UploadStatus:
		return "artifactregistry.repositories.uploadArtifacts"
	}
	return "artifactregistry.repositories.downloadArtifacts"
}

// linked marks a request whose address holds its own authority.
type linked struct{}

// admit is what Artifact Registry asks of each request to the registry: whose token
// it is, not too fast, and whether they may, in a repository that is there.
func (s *Server) admit(a *registrytest.Ask) *registrytest.Refusal {
	path := a.Request.URL.Path
	at := s.place(a.Repo)
	if s.throttled(at.project, a.Write()) {
		return &registrytest.Refusal{Status: 429, Code: "TOOMANYREQUESTS", Message: "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute per project per location'"}
	}
	switch {
	case a.Request.Context().Value(linked{}) != nil || path == tokenPath:
		return nil
	case strings.HasPrefix(path, uploadsPath):
		return &registrytest.Refusal{Status: 404, Code: "BLOB_UPLOAD_UNKNOWN", Message: "the upload is unknown"}
	case strings.HasPrefix(path, downloadsPath):
		return &registrytest.Refusal{Status: 403, Code: "DENIED", Message: "the download's address is not good, or not any more"}
	}
	who, f := s.signedIn(a)
	if f != nil {
		return f
	}
	if a.User = who; a.Repo == "" {
		return nil
	}
	return s.mayUse(a, at)
}

func (s *Server) mayUse(a *registrytest.Ask, at place) *registrytest.Refusal {
	if at.image == "" {
		return &registrytest.Refusal{Status: 400, Code: "NAME_INVALID", Message: "a path is project/repository/image"}
	}
	permission := permissionOf(a)
	r := s.repository(at.key())
	if r == nil && s.gcr != "" && a.Write() && s.iam.may(a.User, permission) {
		if !s.iam.may(a.User, "artifactregistry.repositories.createOnPush") {
			return &registrytest.Refusal{Status: 403, Code: "DENIED", Message: "gcr.io repo does not exist. Creating on push requires the artifactregistry.repositories.createOnPush permission"}
		}
		s.ensure(at.key())
		r = s.repository(at.key())
	}
	switch {
	case r == nil || !s.iam.may(a.User, permission):
		return s.hidden(permission, at)
	case a.Write() && or(r.Mode, "STANDARD_REPOSITORY") != "STANDARD_REPOSITORY":
		return &registrytest.Refusal{Status: 403, Code: "DENIED", Message: "the repository is a " + r.Mode + " and takes no pushes"}
	case a.Class == registrytest.ManifestDelete && !s.config().DeleteChildren && s.isChild(a.Repo, a.Ref):
		return &registrytest.Refusal{Status: 400, Code: "MANIFEST_INVALID", Message: "the manifest is referenced by an index"}
	}
	return nil
}

// hidden is the one answer to a repository that is not there, and to one that the
// account may not use.
func (s *Server) hidden(permission string, at place) *registrytest.Refusal {
	return &registrytest.Refusal{Status: 403, Code: "DENIED", Message: fmt.Sprintf("Permission %q denied on resource %q (or it may not exist)", permission, s.resource(at.key()))}
}

func (s *Server) isChild(repo, digest string) bool {
	images, _ := s.all(repo)
	return slices.ContainsFunc(images, func(i registrytest.Image) bool {
		for _, c := range i.Content.Children {
			if c.Digest.String() == digest {
				return true
			}
		}
		return false
	})
}

// signedIn reads a Bearer token, or what docker sends as a password.
func (s *Server) signedIn(a *registrytest.Ask) (string, *registrytest.Refusal) {
	if who := s.caller(a.Request); who != "" {
		return who, nil
	}
	challenge := fmt.Sprintf("Bearer realm=%q", s.URL()+tokenPath)
	message := "not authenticated: No credential was supplied."
	if a.Repo != "" {
		actions := "pull"
		if a.Write() {
			actions = "pull,push"
		}
		challenge += fmt.Sprintf(",service=%q,scope=%q", s.Host(), "repository:"+a.Repo+":"+actions)
		message = "not authenticated: No valid credential was supplied."
	}
	return "", &registrytest.Refusal{Status: 401, Code: "UNAUTHORIZED", Message: message, Header: http.Header{"Www-Authenticate": {challenge}}}
}

// caller is who sent a request, "" for nobody.
func (s *Server) caller(r *http.Request) string {
	user, password, basic := r.BasicAuth()
	if !basic {
		return s.iam.bearer(bearerOf(r))
	}
	switch user {
	case "oauth2accesstoken", "_dcgcloud_token":
		return s.iam.bearer(password)
	case "_json_key_base64":
		raw, err := base64.StdEncoding.DecodeString(password)
		if err != nil {
			return ""
		}
		password = string(raw)
	case "_json_key":
	default:
		return ""
	}
	var f struct {
		ID string `json:"private_key_id"`
	}
	if json.Unmarshal([]byte(password), &f) != nil {
		return ""
	}
	s.iam.mu.Lock()
	defer s.iam.mu.Unlock()
	email := s.iam.keys[f.ID]
	if s.iam.accounts[email] == nil {
		return ""
	}
	return email
}

// put is what the repository asks of a manifest: that its tag may move. The
// server's own lock is held.
func (s *Server) put(p registrytest.Putting) *registrytest.Refusal {
	r := s.repository(s.place(p.Repo).key())
	if r == nil || !r.ImmutableTags || p.Tag == "" || p.Present == "" || p.Present == p.Digest && !s.config().RefuseSameDigest {
		return nil
	}
	return &registrytest.Refusal{Status: 400, Code: "MANIFEST_INVALID", Message: "manifest invalid: cannot update tag " + p.Tag + ". The repository has enabled tag immutability"}
}

// mount is what the service asks of a mount.
func (s *Server) mount(a *registrytest.Ask, from string) bool {
	source, target := s.place(from), s.place(a.Repo)
	return s.repository(source.key()) != nil && (source.key() == target.key() || s.config().MountAcross) &&
		s.iam.may(a.User, "artifactregistry.repositories.downloadArtifacts")
}

const (
	tokenPath     = "/v2/token"
	uploadsPath   = "/artifacts-uploads/"
	downloadsPath = "/artifacts-downloads/"
)

// route finds the upload or blob behind an address outside of /v2/.
func (s *Server) route(r *http.Request) registrytest.Class {
	path := r.URL.Path
	if !strings.HasPrefix(path, uploadsPath) && !strings.HasPrefix(path, downloadsPath) {
		return ""
	}
	to, ok := s.follow(path[strings.LastIndex(path, "/")+1:])
	if !ok {
		return ""
	}
	*r = *r.WithContext(context.WithValue(r.Context(), linked{}, true))
	r.URL.Path, r.URL.RawPath = to.path, ""
	if to.download {
		r.URL.RawQuery = ""
		return registrytest.Storage
	}
	q := to.query
	if r.URL.RawQuery != "" {
		q += "&" + r.URL.RawQuery
	}
	r.URL.RawQuery = q
	return ""
}
