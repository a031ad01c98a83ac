package acrtest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
)

// A manager is Azure's resource manager over TLS, as far as it imports into one
// registry.
type manager struct {
	mu    sync.Mutex
	http  *httptest.Server
	known map[string]*Server // registries that can be read by their resource id
	jobs  map[string]*job
}

// A job is an import that is under way, or over.
type job struct {
	polls int // answers of 202 that are left
	fault *armFault
}

// An armFault is what the resource manager refuses with.
type armFault struct {
	status        int
	Code, Message string
}

func (m *manager) close() {
	m.mu.Lock()
	h := m.http
	m.mu.Unlock()
	if h != nil {
		h.Close()
	}
}

// Manager is the URL of the resource manager, which is started by asking for it; its
// certificate is signed as Entra's is.
func (s *Server) Manager() string {
	m := &s.manager
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.http == nil {
		m.known, m.jobs = map[string]*Server{}, map[string]*job{}
		m.http = httptest.NewTLSServer(http.HandlerFunc(s.serveManager))
	}
	return m.http.URL
}

// Knows lets the registry be read by its resource id, by whom it allows that.
func (s *Server) Knows(source *Server) {
	s.Manager()
	s.manager.mu.Lock()
	defer s.manager.mu.Unlock()
	s.manager.known[source.ResourceID()] = source
}

// ResourceID names the registry to the resource manager.
func (s *Server) ResourceID() string {
	return "/subscriptions/99999999-2222-3333-4444-555555555555/resourceGroups/rg/providers/Microsoft.ContainerRegistry/registries/r" +
		strings.NewReplacer(".", "", ":", "x", "[", "", "]", "").Replace(s.Host())
}

func (s *Server) serveManager(w http.ResponseWriter, r *http.Request) {
	id, f := s.manages(r)
	switch {
	case f != nil:
	case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, operations):
		f = s.serveOperation(w, strings.TrimPrefix(r.URL.Path, operations))
	case r.Method == http.MethodPost && r.URL.Path == s.ResourceID()+"/importImage":
		f = s.serveImport(w, r, id)
	default:
		f = &armFault{404, "ResourceNotFound", "The Resource '" + r.URL.Path + "' was not found."}
	}
	if f != nil {
		f.send(w)
	}
}

func (f *armFault) send(w http.ResponseWriter) {
	answer(w, f.status, map[string]any{"error": map[string]string{"code": f.Code, "message": f.Message}})
}

const operations = "/subscriptions/99999999-2222-3333-4444-555555555555/operations/"

// manages returns whose token a request has: one for the resource manager, of who may
// import.
func (s *Server) manages(r *http.Request) (identity, *armFault) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	id, ok := s.entra.holder(token)
	if !ok || id.audience != ARMAudience {
		return id, &armFault{401, "InvalidAuthenticationToken", "The access token is invalid."}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.roles[id.app.ClientID], func(a assignment) bool { return a.role == Importer }) {
		return id, &armFault{403, "AuthorizationFailed", "The client does not have authorization to perform action 'Microsoft.ContainerRegistry/registries/importImage/action'."}
	}
	return id, nil
}

// An importing is the body of importImage.
type importing struct {
	Source struct {
		RegistryURI, ResourceID, SourceImage string
		Credentials                          struct{ Username, Password string }
	}
	TargetTags                 []string
	UntaggedTargetRepositories []string
	Mode                       string
}

func (s *Server) serveImport(w http.ResponseWriter, r *http.Request, who identity) *armFault {
	s.called("import")
	var in importing
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.URL.Query().Get("api-version") == "" {
		return &armFault{400, "InvalidRequestContent", "the request cannot be read"}
	}
	for _, tag := range in.TargetTags {
		repo, name, _ := strings.Cut(tag, ":")
		if _, there := s.Tags(repo)[cmp.Or(name, "latest")]; there && in.Mode != "Force" {
			return &armFault{409, "Conflict", "Tag " + tag + " already exists in target registry."}
		}
	}
	j := &job{polls: s.config().ImportPolls}
	j.fault = s.imports(r.Context(), in, who)
	s.manager.mu.Lock()
	id := fmt.Sprint(len(s.manager.jobs))
	s.manager.jobs[id] = j
	s.manager.mu.Unlock()
	w.Header().Set("Location", operations+id)
	if s.config().ImportAsync {
		w.Header().Set("Azure-AsyncOperation", operations+id+"?status")
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// serveOperation says how far an import is.
func (s *Server) serveOperation(w http.ResponseWriter, id string) *armFault {
	s.manager.mu.Lock()
	j := s.manager.jobs[id]
	left := 0
	if j != nil {
		left = j.polls
		j.polls--
	}
	s.manager.mu.Unlock()
	asked := s.config().ImportAsync
	switch {
	case j == nil:
		return &armFault{404, "ResourceNotFound", "there is no such operation"}
	case left > 0 && asked:
		answer(w, 200, map[string]string{"status": "InProgress"})
	case left > 0:
		w.WriteHeader(http.StatusAccepted)
	case j.fault != nil:
		if asked {
			answer(w, 200, map[string]any{"status": "Failed", "error": map[string]string{"code": j.fault.Code, "message": j.fault.Message}})
			return nil
		}
		return j.fault
	case asked:
		answer(w, 200, map[string]string{"status": "Succeeded"})
	default:
		w.WriteHeader(http.StatusOK)
	}
	return nil
}

// imports reads the source, all of it, and puts what it read.
func (s *Server) imports(ctx context.Context, in importing, who identity) *armFault {
	from, f := s.sourceOf(in, who)
	if f != nil {
		return f
	}
	defer from.close()
	repo, ref, byDigest := strings.Cut(in.Source.SourceImage, "@")
	if !byDigest {
		repo, ref, _ = strings.Cut(in.Source.SourceImage, ":")
	}
	all, f := from.tree(ctx, repo, cmp.Or(ref, "latest"))
	if f != nil {
		return f
	}
	if len(all) > 50 {
		return &armFault{400, "InvalidParameters", fmt.Sprintf("the image has %d manifests; at most 50 are imported", len(all))}
	}
	targets := in.UntaggedTargetRepositories
	for _, tag := range in.TargetTags {
		name, _, _ := strings.Cut(tag, ":")
		targets = append(targets, name)
	}
	for _, target := range targets {
		if f := from.copyTo(ctx, s, repo, target, all); f != nil {
			return f
		}
	}
	root := all[len(all)-1]
	for _, tag := range in.TargetTags {
		name, t, _ := strings.Cut(tag, ":")
		if err := s.LoadManifest(name, root, cmp.Or(t, "latest")); err != nil {
			return &armFault{500, "InternalServerError", err.Error()}
		}
	}
	return nil
}
