package quaytest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/plane"
)

const apiPath = "/api/v1/repository"

// serve answers the token service and the API.
func (s *Server) serve(w http.ResponseWriter, a *registrytest.Ask) bool {
	r := a.Request
	var f *registrytest.Refusal
	path, isAPI := strings.CutPrefix(r.URL.Path, apiPath)
	repo, isTags := strings.CutSuffix(strings.TrimPrefix(path, "/"), "/tag/")
	switch {
	case r.URL.Path == "/v2/auth":
		f = s.serveToken(w, r)
	case !isAPI || s.config().NoAPI || r.Method != http.MethodGet:
		return false
	case path == "":
		f = s.listRepositories(w, r)
	case isTags:
		f = s.listTags(w, r, repo)
	default:
		return false
	}
	if f != nil {
		f.Send(w)
	}
	return true
}

// apiRefusal is in the API's own form.
func apiRefusal(w http.ResponseWriter, status int, kind, text string) {
	plane.JSON(w, status, map[string]any{"status": status, "error_type": kind, "error_message": text, "detail": text, "title": kind,
		"type": "https://quay.example/api/v1/error/" + kind})
}

// asker is whose OAuth token a request shows; ok is false for one that is none.
func (s *Server) asker(r *http.Request) (a *account, named, ok bool) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return nil, false, true
	}
	token, bearer := strings.CutPrefix(header, "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	name, known := s.apps[token]
	return s.accounts[name], true, bearer && known
}

// sees reports whether a repository may be read, and answers if it may not.
func (s *Server) sees(w http.ResponseWriter, r *http.Request, repo string) bool {
	a, named, ok := s.asker(r)
	s.mu.Lock()
	may := s.public[repo] || a.reads(repo)
	s.mu.Unlock()
	switch {
	case !ok:
		apiRefusal(w, 401, "invalid_token", "OAuth access token could not be validated")
	case may:
		return true
	case named:
		apiRefusal(w, 403, "insufficient_scope", "Unauthorized")
	default:
		apiRefusal(w, 401, "invalid_token", "Requires authentication")
	}
	return false
}

func (s *Server) listRepositories(w http.ResponseWriter, r *http.Request) *registrytest.Refusal {
	if f := s.calls.Called("repositories"); f != nil {
		return f
	}
	a, _, ok := s.asker(r)
	if !ok {
		apiRefusal(w, 401, "invalid_token", "OAuth access token could not be validated")
		return nil
	}
	q := r.URL.Query()
	if q.Get("namespace") == "" {
		apiRefusal(w, 400, "invalid_request", "namespace or public must be specified")
		return nil
	}
	var all []string
	for _, repo := range s.Repositories() {
		s.mu.Lock()
		if namespaceOf(repo) == q.Get("namespace") && (a.reads(repo) || s.public[repo] && q.Get("public") == "true") {
			all = append(all, repo)
		}
		s.mu.Unlock()
	}
	from, _ := strconv.Atoi(strings.TrimPrefix(q.Get("next_page"), "opaque="))
	to := min(len(all), from+s.config().Page)
	list := []map[string]any{}
	for _, repo := range all[min(from, to):to] {
		ns, name, _ := strings.Cut(repo, "/")
		list = append(list, map[string]any{"namespace": ns, "name": name, "kind": "image", "state": "NORMAL", "is_public": s.isPublic(repo)})
	}
	page := map[string]any{"repositories": list}
	if to < len(all) || s.config().Endless {
		page["next_page"] = fmt.Sprint("opaque=", from+s.config().Page)
	}
	plane.JSON(w, 200, page)
	return nil
}

func (s *Server) listTags(w http.ResponseWriter, r *http.Request, repo string) *registrytest.Refusal {
	if f := s.calls.Called("tags"); f != nil {
		return f
	}
	if !s.sees(w, r, repo) {
		return nil
	}
	if !s.Exists(repo) {
		apiRefusal(w, 404, "not_found", "Not Found")
		return nil
	}
	q := r.URL.Query()
	n, page := clamp(q.Get("limit"), 50, 100), clamp(q.Get("page"), 1, 1<<30)
	all, _, _ := s.TagPage(repo, "", 1<<30)
	rows := s.rows(repo, all, q.Get("onlyActiveTags") == "true")
	from := min(len(rows), (page-1)*n)
	to := min(len(rows), from+n)
	plane.JSON(w, 200, map[string]any{"tags": rows[from:to], "page": page, "has_additional": to < len(rows)})
	return nil
}

// A row is a tag in a list, the youngest first.
type row struct {
	Name       string `json:"name"`
	Reversion  bool   `json:"reversion"`
	Start      int64  `json:"start_ts"`
	End        int64  `json:"end_ts,omitempty"`
	Digest     string `json:"manifest_digest"`
	IsList     bool   `json:"is_manifest_list"`
	Size       *int64 `json:"size"`
	Modified   string `json:"last_modified"`
	Expiration string `json:"expiration,omitempty"`
}

// rows are the tags that live, and without active those that were deleted, too.
func (s *Server) rows(repo string, tags []registrytest.Tagged, active bool) []row {
	rows := []row{}
	for _, t := range tags {
		image, _ := s.Image(repo, t.Digest)
		s.mu.Lock()
		at, ends := s.tags[repo][t.Tag], s.ends[repo][t.Tag]
		s.mu.Unlock()
		if at.IsZero() {
			at = image.Pushed
		}
		one := row{Name: t.Tag, Digest: t.Digest, Start: at.Unix(), Modified: at.UTC().Format(time.RFC1123), IsList: len(image.Content.Children) > 0}
		if said, odd := s.config().Digests[t.Tag]; odd {
			one.Digest = said
		}
		if !ends.IsZero() {
			one.End, one.Expiration = ends.Unix(), ends.UTC().Format(time.RFC1123)
		}
		if !one.IsList {
			size := int64(0)
			for _, l := range image.Content.Layers {
				size += l.Size
			}
			one.Size = &size
		}
		rows = append(rows, one)
		if !active {
			dead := one
			dead.End, dead.Digest = one.Start, "sha256:"+strings.Repeat("0", 64)
			rows = append(rows, dead)
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return int(b.Start - a.Start) })
	return rows
}

func clamp(text string, def, most int) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		n = def
	}
	return min(n, most)
}

// answerReferrers refuses those of a subject that is not there, as no other
// registry does.
func (s *Server) answerReferrers(w http.ResponseWriter, a *registrytest.Ask) bool {
	if a.Class != registrytest.Referrers {
		return false
	}
	if _, there := s.Image(a.Repo, a.Ref); there {
		return false
	}
	f := refuse(400, "MANIFEST_INVALID", "manifest invalid")
	f.Send(w)
	return true
}
