package harbortest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/transship/transship/providers/registrytest"
)

// What a robot may be allowed in a project.
const (
	Pull          = "pull"
	Push          = "push"
	ListArtifacts = "list artifact"
	ListRepos     = "list repository"
	ReadProject   = "read project"
)

// Reader and Writer are what transship asks for.
var (
	Reader = []string{Pull, ListArtifacts, ListRepos, ReadProject}
	Writer = []string{Pull, Push, ListArtifacts, ListRepos, ReadProject}
)

// An account is a user or a robot, and what it may do in which project. Everywhere
// is the project "*".
type account struct {
	password string
	may      map[string][]string
	creates  bool // projects
}

// A Grant lets an account do something.
type Grant func(*account)

// On lets it do these things in a project, or in all with "*".
func On(project string, what ...string) Grant {
	return func(a *account) { a.may[project] = append(a.may[project], what...) }
}

// Creates lets it make projects, in which it may do everything afterwards.
func Creates() Grant { return func(a *account) { a.creates = true } }

// Robot makes a robot, or a user, and returns its secret.
func (s *Server) Robot(name string, grants ...Grant) (secret string) {
	a := &account{password: "secret-of-" + strings.NewReplacer("$", "-", "+", "-").Replace(name), may: map[string][]string{}}
	for _, g := range grants {
		g(a)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[name] = a
	return a.password
}

// allowed reports whether the account may do something in a project; nobody may
// pull, list and read what is public.
func (s *Server) allowed(name, project, what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.projects[project]; p.Public && what != Push {
		return true
	}
	a := s.accounts[name]
	return a != nil && (slices.Contains(a.may[project], what) || slices.Contains(a.may["*"], what))
}

// basic is who signs a request in the old way; ok is false for a wrong secret.
func (s *Server) basic(r *http.Request) (name string, ok bool) {
	name, secret, given := r.BasicAuth()
	if !given {
		return "", true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[name]
	return name, a != nil && a.password == secret
}

// serveToken gives a token for what of the scopes the account may do.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) *registrytest.Refusal {
	if f := s.calls.Called("token"); f != nil {
		return f
	}
	user, ok := s.basic(r)
	asked := r.URL.Query()["scope"]
	if !ok || user == "" && len(asked) == 0 {
		return refuse(401, "UNAUTHORIZED", "unauthorized")
	}
	for _, scope := range asked {
		name, _, _ := strings.Cut(strings.TrimPrefix(scope, "repository:"), ":")
		if _, there := s.project(projectOf(name)); !there && s.config().TokensMiss {
			return refuse(404, "NOT_FOUND", "project %s not found", projectOf(name))
		}
	}
	s.issuer.Issue(w, user, asked, s.config().TokenLife, func(resource string, actions []string) (granted []string) {
		for _, action := range actions {
			if s.allowed(user, projectOf(strings.TrimPrefix(resource, "repository:")), action) {
				granted = append(granted, action)
			}
		}
		return granted
	})
	return nil
}

// admit is what Harbor asks of each request to the registry.
func (s *Server) admit(a *registrytest.Ask) *registrytest.Refusal {
	action := registrytest.Needs(a.Class)
	user, ok := s.basic(a.Request)
	bearer, known := s.issuer.Holder(a.Request)
	if known {
		user = bearer
	}
	a.User = user
	signed := a.Request.Header.Get("Authorization") != ""
	switch {
	case !ok || signed && user == "" && !known:
		return s.login(a, "unauthorized")
	case a.Class == registrytest.Catalog:
		return challenge(refuse(401, "UNAUTHORIZED", "unauthorized to list catalog: unauthorized"), `Basic realm="harbor"`)
	case action == "" && user == "" && !known:
		return s.login(a, "unauthorized")
	case action == "":
		return nil
	}
	if action == "delete" {
		action = Push
	}
	if f := s.mayAccess(a, a.Repo, action, known); f != nil {
		return f
	}
	if from := a.Request.URL.Query().Get("from"); a.Class == registrytest.Mount && from != "" {
		if f := s.mayAccess(a, from, Pull, known); f != nil {
			return f
		}
	}
	return s.hold(a, projectOf(a.Repo))
}

// mayAccess refuses what the account may not do, and any project that is not there,
// with one status; bearer says that it showed a token.
func (s *Server) mayAccess(a *registrytest.Ask, repo, action string, bearer bool) *registrytest.Refusal {
	project := projectOf(repo)
	if !s.there(project) {
		return challenge(refuse(401, "UNAUTHORIZED", "project %s not found", project), "")
	}
	may := s.allowed(a.User, project, action)
	if bearer {
		may = s.issuer.Allows(a.Request, "repository:"+repo, action) || s.publicPull(project, action)
	}
	if !may {
		text := "unauthorized to access repository: " + repo + ", action: " + action
		return s.login(a, text+": "+text)
	}
	return nil
}

func (s *Server) publicPull(project, action string) bool {
	return action == Pull && s.allowed("", project, Pull)
}

// login asks for a token whoever shows nothing, and for a password whoever shows
// what does not do.
func (s *Server) login(a *registrytest.Ask, text string) *registrytest.Refusal {
	if a.Request.Header.Get("Authorization") != "" {
		return challenge(refuse(401, "UNAUTHORIZED", "%s", text), `Basic realm="harbor"`)
	}
	c := `Bearer realm="` + s.URL() + `/service/token",service="harbor-registry"`
	if action := registrytest.Needs(a.Class); action != "" {
		if action == Push {
			action = "pull,push"
		}
		c += `,scope="repository:` + a.Repo + ":" + action + `"`
	}
	return challenge(refuse(401, "UNAUTHORIZED", "%s", text), c)
}

// hold is what the project and the system do not let pass.
func (s *Server) hold(a *registrytest.Ask, name string) *registrytest.Refusal {
	p, _ := s.project(name)
	switch {
	case a.Write() && s.config().ReadOnly:
		return refuse(403, "DENIED", "The system is in read only mode. Any modification is prohibited.")
	case a.Write() && p.Proxy:
		return refuse(405, "METHOD_NOT_ALLOWED", "can not push artifact to a proxy project: %s", name)
	case a.Write() && p.Full && a.Class != registrytest.UploadPost:
		return refuse(403, "DENIED", "Quota exceeded when processing the request of adding 1.0 KiB of storage resource, which when updated to current usage of 10.0 MiB will exceed the configured upper limit of 10.0 MiB.")
	case a.Class == registrytest.ManifestGet && p.HoldsBack:
		return refuse(412, "PROJECTPOLICYVIOLATION", "current image with 7 vulnerabilities cannot be pulled due to configured policy in 'Prevent images with vulnerability severity of \"High\" or higher from running.'")
	case !a.Write() && a.Class != registrytest.Referrers && !s.Exists(a.Repo):
		return refuse(404, "NOT_FOUND", "repository %s not found", a.Repo)
	}
	return nil
}

// answer gives the answers that are Harbor's own: no manifest, in the words of an
// old version, and of a subject that is not there an index without a field.
func (s *Server) answer(w http.ResponseWriter, a *registrytest.Ask) bool {
	switch a.Class {
	case registrytest.ManifestHead, registrytest.ManifestGet:
		if _, there := s.Image(a.Repo, a.Ref); there {
			return false
		}
		status, code := 404, "NOT_FOUND"
		if s.config().Unknown {
			status, code = 500, "UNKNOWN"
		}
		f := refuse(status, code, "artifact %s:%s not found", a.Repo, a.Ref)
		f.Send(w)
		return true
	case registrytest.Referrers:
		if _, there := s.Image(a.Repo, a.Ref); there || s.Quirks().NoReferrers {
			return false
		}
		w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		_, _ = w.Write([]byte("{}\n")) // a client that went away is its own business
		return true
	}
	return false
}
