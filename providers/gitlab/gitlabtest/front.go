package gitlabtest

import (
	"encoding/json"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

// The registry's own API, and the header by which a request to it is told from the
// one that the spec has instead.
const (
	ownAPI   = "/gitlab/v1/"
	ownRepos = ownAPI + "repositories/"
	ownTags  = "/tags/list/"
	marker   = "X-Gitlabtest"
)

// route gives requests to the registry's own API the path of what needs the same
// token: its check that of the ping, its list of tags that of the spec's.
func route(r *http.Request) registrytest.Class {
	r.Header.Del(marker)
	repo, isList := strings.CutPrefix(r.URL.Path, ownRepos)
	repo, whole := strings.CutSuffix(repo, ownTags)
	switch {
	case r.Method != http.MethodGet:
	case r.URL.Path == ownAPI:
		r.Header.Set(marker, "check")
		r.URL.Path = "/v2/"
	case isList && whole:
		r.Header.Set(marker, "tags")
		r.URL.Path = "/v2/" + repo + "/tags/list"
	}
	return ""
}

// serveOther sends who forgets the last slash to where it is.
func serveOther(w http.ResponseWriter, a *registrytest.Ask) bool {
	u := a.Request.URL
	if !strings.HasPrefix(u.Path+"/", ownAPI) || strings.HasSuffix(u.Path, "/") {
		return false
	}
	to := *u
	to.Path += "/"
	http.Redirect(w, a.Request, to.String(), http.StatusMovedPermanently)
	return true
}

// answer answers the registry's own API.
func (s *Server) answer(w http.ResponseWriter, a *registrytest.Ask) bool {
	kind := a.Request.Header.Get(marker)
	if kind == "" {
		return false
	}
	switch {
	case s.called(w, kind):
	case s.config().NoMetadata:
		w.WriteHeader(http.StatusNotFound)
	case kind == "check":
		w.WriteHeader(http.StatusOK)
	default:
		s.listTags(w, a)
	}
	return true
}

// A tag is one in the registry's own list.
type tag struct {
	Name      string     `json:"name"`
	Digest    string     `json:"digest"`
	Config    string     `json:"config_digest,omitempty"`
	MediaType string     `json:"media_type"`
	Size      int64      `json:"size_bytes"`
	Created   string     `json:"created_at"`
	Updated   string     `json:"updated_at,omitempty"`
	Published string     `json:"published_at"`
	Referrers []referrer `json:"referrers,omitempty"`
}

type referrer struct {
	ArtifactType string `json:"artifactType"`
	Digest       string `json:"digest"`
}

func (s *Server) listTags(w http.ResponseWriter, a *registrytest.Ask) {
	q := a.Request.URL.Query()
	n := 100
	if text := q.Get("n"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > 1000 {
			(&registrytest.Refusal{Status: 400, Code: "INVALID_QUERY_PARAMETER_VALUE", Message: "the value of a query parameter is invalid",
				Detail: map[string]any{"parameter": "n"}}).Send(w)
			return
		}
	}
	page, more, ok := s.TagPage(a.Repo, q.Get("last"), n)
	if !ok {
		(&registrytest.Refusal{Status: 404, Code: "NAME_UNKNOWN", Message: "repository name not known to registry",
			Detail: map[string]string{"name": a.Repo}}).Send(w)
		return
	}
	var refers map[string][]referrer
	if q.Get("referrers") == "true" && !s.config().NoReferrersList {
		refers = s.refers(a.Repo)
	}
	tags := []tag{}
	for _, t := range page {
		tags = append(tags, s.tag(a.Repo, t, refers))
	}
	s.sendTags(w, a, tags, n, more)
}

// sendTags sends a page, with links as GitLab sends them: the one before, too.
func (s *Server) sendTags(w http.ResponseWriter, a *registrytest.Ask, tags []tag, n int, more bool) {
	address := func(mark, name, rel string) string {
		q := a.Request.URL.Query()
		q.Del("last")
		q.Set("n", strconv.Itoa(n))
		q.Set(mark, name)
		return "<" + s.URL() + ownRepos + a.Repo + ownTags + "?" + q.Encode() + `>; rel="` + rel + `"`
	}
	var links []string
	if a.Request.URL.Query().Has("last") && len(tags) > 0 {
		links = append(links, address("before", tags[0].Name, "previous"))
	}
	if more {
		links = append(links, address("last", tags[len(tags)-1].Name, "next"))
	}
	if len(links) > 0 {
		w.Header().Set("Link", strings.Join(links, ", "))
	}
	body, err := json.Marshal(tags)
	if err != nil {
		panic(err) // structs of ours
	}
	send(w, http.StatusOK, string(body))
}

func (s *Server) tag(repo string, t registrytest.Tagged, refers map[string][]referrer) tag {
	out := tag{Name: t.Tag, Digest: t.Digest, Referrers: refers[t.Digest]}
	i, ok := s.Image(repo, t.Digest)
	if !ok {
		return out
	}
	out.MediaType = string(i.MediaType)
	if i.Content.Config != nil {
		out.Config = i.Content.Config.Digest.String()
	}
	for _, b := range i.Content.Blobs() {
		out.Size += max(0, b.Size)
	}
	at := s.stamps(repo, t.Tag, i.Pushed)
	out.Created, out.Published = stamp(at.created), stamp(at.created)
	if !at.updated.IsZero() {
		out.Updated, out.Published = stamp(at.updated), stamp(at.updated)
	}
	return out
}

// refers is who refers to what in a repository, by the subject.
func (s *Server) refers(repo string) map[string][]referrer {
	out := map[string][]referrer{}
	all, _, _ := s.Images(repo, "", 1<<20)
	for _, i := range all {
		if i.Content.Subject != nil {
			subject := i.Content.Subject.Digest.String()
			out[subject] = append(out[subject], referrer{i.Content.ArtifactType, i.Digest.String()})
		}
	}
	return out
}

// stamps are when a tag came and when it was last moved.
type stamps struct{ created, updated time.Time }

func (s *Server) stamps(repo, tag string, pushed time.Time) stamps {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.tagged[repo+":"+tag]; ok {
		return at
	}
	return stamps{created: pushed}
}

// SetTagged sets when a tag came and when it was last moved, zero for never.
func (s *Server) SetTagged(repo, tag string, created, updated time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tagged[repo+":"+tag] = stamps{created, updated}
}

// stored notes when a tag came or moved.
func (s *Server) stored(p registrytest.Putting) {
	if p.Tag == "" || p.Present == p.Digest {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at, there := s.tagged[p.Repo+":"+p.Tag]
	switch {
	case p.Present == "" || !there:
		at = stamps{created: time.Now()}
	default:
		at.updated = time.Now()
	}
	s.tagged[p.Repo+":"+p.Tag] = at
}

// put is what GitLab asks of a manifest's tag.
func (s *Server) put(p registrytest.Putting) *registrytest.Refusal {
	q := s.config()
	subject, suffix, follows := providers.ReferrerTag(p.Tag)
	switch {
	case follows && suffix == "" && !q.StoresFallback && subject.String() != p.Digest:
		return &registrytest.Refusal{Status: 400, Code: "DIGEST_INVALID", Message: "provided digest did not match uploaded content"}
	case matches(q.Protected, p.Tag):
		return denied("insufficient permissions to push to the protected tag " + p.Tag)
	case p.Present != "" && matches(q.Immutable, p.Tag):
		return denied("the tag " + p.Tag + " is immutable")
	}
	return nil
}

func denied(why string) *registrytest.Refusal {
	return &registrytest.Refusal{Status: 403, Code: "DENIED", Message: "requested access to the resource is denied", Detail: why}
}

func matches(pattern, tag string) bool {
	ok, err := path.Match(pattern, tag)
	return tag != "" && ok && err == nil
}
