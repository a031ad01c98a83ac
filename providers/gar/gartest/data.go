package gartest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers/registrytest"
)

// A link is an address that holds its own authority.
type link struct {
	path, query string
	download    bool
	expires     time.Time
}

// link makes an address in the namespace of a repository, and returns it.
func (s *Server) link(at place, kind string, to link) string {
	name := random()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links[name] = to
	return fmt.Sprintf("/artifacts-%ss/namespaces/%s/repositories/%s/%ss/%s", kind, at.project, at.repository, kind, name)
}

// follow finds what an address leads to. One of a download is good once.
func (s *Server) follow(name string) (link, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to, ok := s.links[name]
	if to.download {
		delete(s.links, name)
	}
	return to, ok && (to.expires.IsZero() || time.Now().Before(to.expires))
}

// locate writes an upload's location: outside of /v2/ as long as nothing was sent.
func (s *Server) locate(a *registrytest.Ask, location string) string {
	if a.Request.Method != http.MethodPost || s.config().SpecLocations {
		return location
	}
	path, query, _ := strings.Cut(location, "?")
	return s.link(s.place(a.Repo), "upload", link{path: path, query: query})
}

// serveData answers what Artifact Registry answers in its own way.
func (s *Server) serveData(w http.ResponseWriter, a *registrytest.Ask) bool {
	if s.gcr != "" {
		w.Header().Set("X-Gcr-Using-Artifact-Registry", "true")
	}
	q := s.config()
	switch {
	case a.Request.URL.Path == tokenPath:
		s.giveToken(w, a.Request)
		return true
	case a.Class == registrytest.Tags && !q.PlainTags:
		return s.tagList(w, a.Repo)
	case a.Class == registrytest.BlobGet && !q.PlainDownloads:
		return s.redirect(w, a)
	}
	return false
}

// giveToken is the registry's token service: a token of who asks, if they may.
func (s *Server) giveToken(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code, message string) {
		sendJSON(w, status, map[string]any{"errors": []any{map[string]any{"code": code, "message": message}}})
	}
	who := s.caller(r)
	if who == "" && r.Header.Get("Authorization") != "" {
		refuse(401, "UNAUTHORIZED", "authentication failed")
		return
	}
	for _, scope := range strings.Fields(strings.Join(r.URL.Query()["scope"], " ")) {
		parts := strings.Split(scope, ":")
		if len(parts) != 3 || parts[0] != "repository" {
			continue
		}
		permission := "artifactregistry.repositories.downloadArtifacts"
		if strings.Contains(parts[2], "push") {
			permission = "artifactregistry.repositories.uploadArtifacts"
		}
		at := s.place(parts[1])
		switch {
		case who == "":
			refuse(403, "DENIED", fmt.Sprintf("Unauthenticated request. Unauthenticated requests do not have permission %q on resource %q (or it may not exist)", permission, s.resource(at.key())))
			return
		case s.repository(at.key()) == nil && s.gcr == "" || !s.iam.may(who, permission):
			refuse(403, "DENIED", s.hidden(permission, at).Message)
			return
		}
	}
	t, seconds, _ := s.issue(who)
	sendJSON(w, http.StatusOK, map[string]any{"token": t, "expires_in": seconds})
}

// A listed manifest is one in tags/list.
type listed struct {
	ImageSizeBytes string   `json:"imageSizeBytes"`
	LayerID        string   `json:"layerId"`
	MediaType      string   `json:"mediaType"`
	Tag            []string `json:"tag"`
	TimeCreatedMs  string   `json:"timeCreatedMs"`
	TimeUploadedMs string   `json:"timeUploadedMs"`
}

// tagList answers with the manifests beside the tags, all at once.
func (s *Server) tagList(w http.ResponseWriter, repo string) bool {
	images, ok := s.all(repo)
	if !ok {
		return false
	}
	q := s.config()
	manifests, tags := map[string]listed{}, []string{}
	for _, i := range images {
		tags = append(tags, i.Tags...)
		if q.ManifestCap > 0 && len(manifests) == q.ManifestCap {
			continue
		}
		ms := strconv.FormatInt(i.Pushed.UnixMilli(), 10)
		manifests[i.Digest.String()] = listed{ImageSizeBytes: strconv.FormatInt(size(i), 10), MediaType: string(i.MediaType),
			Tag: append([]string{}, i.Tags...), TimeCreatedMs: ms, TimeUploadedMs: ms}
	}
	slices.Sort(tags)
	raw, err := json.Marshal(map[string]any{"child": s.children(repo, q.ChildCap), "manifest": manifests, "name": repo, "tags": tags})
	if err != nil {
		panic(err) // structs of ours
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(raw) // a client that went away is its own business
	return true
}

// children are the next elements of the paths below repo.
func (s *Server) children(repo string, most int) []string {
	found := []string{}
	for _, name := range s.Repositories() {
		rest, ok := strings.CutPrefix(name, repo+"/")
		child, _, _ := strings.Cut(rest, "/")
		if ok && len(found) < most && (len(found) == 0 || found[len(found)-1] != child) {
			found = append(found, child)
		}
	}
	return found
}

// redirect leads to a blob at the same host.
func (s *Server) redirect(w http.ResponseWriter, a *registrytest.Ask) bool {
	digest, err := v1.NewHash(a.Digest)
	if err != nil || !s.Has(a.Repo, digest) {
		return false
	}
	w.Header().Set("Location", s.link(s.place(a.Repo), "download", link{path: "/v2/" + a.Repo + "/blobs/" + a.Digest, download: true,
		expires: time.Now().Add(s.config().DownloadLife)}))
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusFound)
	return true
}
