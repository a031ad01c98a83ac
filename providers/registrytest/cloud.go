package registrytest

import (
	"maps"
	"net/http"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// A Cloud is what a cloud's emulator decides instead of the front: who signs in
// and may do what, its quotas, its repositories' settings. Any of it may be nil.
// The functions are called from many goroutines at once.
type Cloud struct {
	// Admit looks at every request to the registry before the front does; a
	// Refusal is its answer. It may create the repository that is asked for.
	Admit func(*Ask) *Refusal
	// Token looks at every request to the token service before that does; a Refusal
	// is its answer.
	Token func(*http.Request) *Refusal
	// Put looks at every manifest that is about to be stored, complete and with
	// the right digest, before Quirks.Immutable. It must not call the server.
	Put func(Putting) *Refusal
	// Mount says whether a blob may be mounted, besides the quirks.
	Mount func(a *Ask, from string) bool
	// Stored is told of every manifest that was taken.
	Stored func(Putting)
	// Serve answers requests to the registry's own host that are none of a
	// registry (Class Other), such as ACR's metadata API, and reports whether it
	// did. It is asked before Admit.
	Serve func(http.ResponseWriter, *Ask) bool
	// Route sees a request before it is read, and may give it the path by which the
	// distribution-spec knows it, where the cloud has addresses of its own. A class
	// that is not "" is the request's: [Storage] for what a redirect led to, which is
	// then answered with the blob of that path.
	Route func(*http.Request) Class
	// Locate writes the location of an upload that goes on, given the path and query
	// of one after the distribution-spec.
	Locate func(a *Ask, location string) string
	// Answer answers a request that was admitted in place of the front; false leaves
	// it to that.
	Answer func(http.ResponseWriter, *Ask) bool
}

// An Ask is a request to the registry.
type Ask struct {
	Request *http.Request
	Class   Class
	Repo    string
	Ref     string // of a manifest: a tag or a digest; of referrers: the subject
	Digest  string // of a blob
	User    string // for Admit to fill in; it comes back in Mount
}

// Write reports whether the request wants to change the registry.
func (a *Ask) Write() bool { return a.Class.write() }

// A Putting is a manifest that a client puts.
type Putting struct {
	Repo    string
	Tag     string // "" for a manifest that is put by its digest
	Present string // the digest that the tag has, "" if it is new
	Digest  string
	Content providers.Content
	Tags    func() int // counts those that name the digest already; for Put alone
	Images  int        // manifests that the repository has
	Fresh   bool       // the digest is not among them
}

// A Refusal is an answer of the registry's own kind: the error envelope, or with
// Text a page of that text instead.
type Refusal struct {
	Status        int
	Code, Message string
	Detail        any // of the envelope, nil for none
	Text          string
	Header        http.Header
}

// Send answers w with f.
func (f *Refusal) Send(w http.ResponseWriter) { f.send(w) }

func (f *Refusal) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), f.Header)
	if f.Text != "" {
		http.Error(w, f.Text, f.Status)
		return
	}
	refusal{f.Status, f.Code, f.Message, f.Detail}.send(w)
}

// admit asks the cloud, and reports whether x is to be served.
func (s *Server) admitted(x *exchange) bool {
	if s.cloud.Admit == nil {
		return true
	}
	a := x.ask()
	if f := s.cloud.Admit(a); f != nil {
		f.send(x)
		return false
	}
	x.user = a.User
	return true
}

func (x *exchange) ask() *Ask {
	return &Ask{Request: x.r, Class: x.class, Repo: x.repo, Ref: x.ref, Digest: x.digest, User: x.user}
}

// answered lets the cloud answer what it has admitted.
func (s *Server) answered(x *exchange) bool {
	return s.cloud.Answer != nil && s.cloud.Answer(x, x.ask())
}

// mayMount asks the cloud.
func (s *Server) mayMount(x *exchange, from string) bool {
	return s.cloud.Mount == nil || s.cloud.Mount(x.ask(), from)
}

// An Image is a manifest of a repository as a cloud's own API lists it.
type Image struct {
	providers.Manifest
	Content providers.Content
	Tags    []string // sorted
	Pushed  time.Time
}

// Images returns at most n images whose digest follows after, in the order of
// digests, and whether there are more. ok is false if there is no such repository.
// A page that begins after a digest loses and doubles nothing, whatever is pushed
// meanwhile.
func (s *Server) Images(repo, after string, n int) (page []Image, more, ok bool) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r := s.store.repos[repo]
	if r == nil {
		return nil, false, false
	}
	r.sort()
	from, found := slices.BinarySearch(r.order, after)
	if found {
		from++
	}
	to := min(len(r.order), from+max(0, n))
	for _, digest := range r.order[from:to] {
		page = append(page, r.image(digest))
	}
	return page, to < len(r.order), true
}

// TagPage returns at most n tags that follow after, in lexical order, with their
// digests, and whether there are more. ok is false if there is no such repository.
func (s *Server) TagPage(repo, after string, n int) (page []Tagged, more, ok bool) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r := s.store.repos[repo]
	if r == nil {
		return nil, false, false
	}
	r.sort()
	from, found := slices.BinarySearch(r.tagOrder, after)
	if found {
		from++
	}
	to := min(len(r.tagOrder), from+max(0, n))
	for _, tag := range r.tagOrder[from:to] {
		page = append(page, Tagged{tag, r.tags[tag]})
	}
	return page, to < len(r.tagOrder), true
}

// A Tagged is a tag with its digest.
type Tagged struct{ Tag, Digest string }

// Image returns the image under a tag or a digest.
func (s *Server) Image(repo, ref string) (Image, bool) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r := s.store.repos[repo]
	if r == nil {
		return Image{}, false
	}
	if digest, ok := r.tags[ref]; ok {
		ref = digest
	}
	if _, ok := r.manifests[ref]; !ok {
		return Image{}, false
	}
	r.sort()
	return r.image(ref), true
}

func (r *repository) image(digest string) Image {
	m := r.manifests[digest]
	return Image{Manifest: m.Manifest, Content: m.content, Tags: slices.Clone(r.names[digest]), Pushed: m.pushed}
}

// sort prepares the orders in which images are listed, if something has changed.
func (r *repository) sort() {
	if r.names != nil {
		return
	}
	r.order = slices.Sorted(maps.Keys(r.manifests))
	r.names = make(map[string][]string, len(r.manifests))
	r.tagOrder = slices.Sorted(maps.Keys(r.tags))
	for _, tag := range r.tagOrder {
		r.names[r.tags[tag]] = append(r.names[r.tags[tag]], tag)
	}
}

// Drop takes a repository away with all its manifests; its blobs stay where they are.
func (s *Server) Drop(repo string) bool {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	_, ok := s.store.repos[repo]
	delete(s.store.repos, repo)
	return ok
}

// Exists reports whether there is such a repository.
func (s *Server) Exists(repo string) bool { return s.store.exists(repo) }

// SetPushed sets when a manifest arrived.
func (s *Server) SetPushed(repo string, digest v1.Hash, at time.Time) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if r := s.store.repos[repo]; r != nil {
		if m, ok := r.manifests[digest.String()]; ok {
			m.pushed = at
			r.manifests[digest.String()] = m
		}
	}
}
