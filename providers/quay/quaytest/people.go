package quaytest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/transship/transship/providers/registrytest"
)

// An account is a user or a robot (namespace+name), and what it may do.
type account struct {
	password string
	creator  map[string]bool   // namespaces in which it may make repositories
	admin    map[string]bool   // namespaces of which it may do everything
	role     map[string]string // repository -> "read" or "write"
}

// A Grant lets an account do something.
type Grant func(*account)

// Creator lets it make repositories in a namespace, and write those that it made.
func Creator(namespace string) Grant { return func(a *account) { a.creator[namespace] = true } }

// Admin lets it do everything in a namespace.
func Admin(namespace string) Grant {
	return func(a *account) { a.admin[namespace], a.creator[namespace] = true, true }
}

// Read lets it read a repository.
func Read(repo string) Grant { return func(a *account) { a.role[repo] = "read" } }

// Write lets it read and write a repository.
func Write(repo string) Grant { return func(a *account) { a.role[repo] = "write" } }

// Account makes an account with these permissions, and returns its password.
func (s *Server) Account(name string, grants ...Grant) (password string) {
	a := &account{password: "secret-of-" + strings.ReplaceAll(name, "+", "-"), creator: map[string]bool{}, admin: map[string]bool{}, role: map[string]string{}}
	for _, g := range grants {
		g(a)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[name] = a
	return a.password
}

// Token is an OAuth token of the API, with repo:read, of an account's permissions.
func (s *Server) Token(of string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := "oauth-token-of-" + strings.ReplaceAll(of, "+", "-")
	s.apps[token] = of
	return token
}

// reads reports whether the account may read the repository. The lock is held.
func (a *account) reads(repo string) bool {
	return a != nil && (a.role[repo] != "" || a.admin[namespaceOf(repo)])
}

func (a *account) writes(repo string) bool {
	return a != nil && (a.role[repo] == "write" || a.admin[namespaceOf(repo)])
}

// scope is what the token service can read: repositories, push, pull and all.
var scope = regexp.MustCompile(`^repository:((?:[.a-zA-Z0-9_-]+/)*[.a-zA-Z0-9_-]+):((?:push|pull|\*)(?:,(?:push|pull|\*))*)$`)

// serveToken gives a token for what the account may do. Whoever asks to push to a
// repository that is not there makes it, if he may.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) *registrytest.Refusal {
	if f := s.calls.Called("token"); f != nil {
		return f
	}
	user, password, given := r.BasicAuth()
	asked := r.URL.Query()["scope"]
	a := s.accountOf(user)
	switch {
	case given && a == nil:
		return refuse(401, "UNAUTHORIZED", "Could not find robot with specified username")
	case given && a.password != password:
		return refuse(401, "UNAUTHORIZED", "Invalid Username or Password")
	case !given && len(asked) == 0:
		return unauthorized()
	}
	for _, one := range asked {
		m := scope.FindStringSubmatch(one)
		if m == nil {
			return refuse(400, "INVALID_REQUEST", "Unable to decode repository and actions: %s", one)
		}
		if s.config().Disabled[namespaceOf(m[1])] {
			return refuse(405, "DENIED", "Namespace %s has been disabled. Please contact a system administrator.", namespaceOf(m[1]))
		}
	}
	s.issuer.Issue(w, user, asked, s.config().TokenLife, func(resource string, actions []string) []string {
		return s.grant(a, strings.TrimPrefix(resource, "repository:"), actions)
	})
	return nil
}

func (s *Server) accountOf(name string) *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accounts[name]
}

func (s *Server) grant(a *account, repo string, actions []string) (granted []string) {
	exists := s.Exists(repo)
	if slices.Contains(actions, "push") && s.mayPush(a, repo, exists) {
		granted = append(granted, "push")
		s.Create(repo)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(actions, "pull") && (a.reads(repo) || s.public[repo]) {
		granted = append(granted, "pull")
	}
	return granted
}

// mayPush notes that what an account makes is its own.
func (s *Server) mayPush(a *account, repo string, exists bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case a == nil || s.quirks.ReadOnlyRepos[repo]:
		return false
	case exists:
		return a.writes(repo)
	case a.creator[namespaceOf(repo)]:
		a.role[repo] = "write"
		return true
	}
	return false
}

func unauthorized() *registrytest.Refusal {
	return refuse(401, "UNAUTHORIZED", "access to the requested resource is not authorized")
}

// admit wants a token that allows what is asked.
func (s *Server) admit(a *registrytest.Ask) *registrytest.Refusal {
	user, known := s.issuer.Holder(a.Request)
	a.User = user
	action := registrytest.Needs(a.Class)
	q := s.config()
	switch {
	case action == "delete":
		action = "push" // Quay asks for no other
	case a.Class == registrytest.Catalog || action == "":
		if !known {
			return s.challenge("")
		}
		return nil
	}
	if !s.issuer.Allows(a.Request, "repository:"+a.Repo, action) && !(action == "pull" && s.isPublic(a.Repo)) {
		return s.challenge("repository:" + a.Repo + ":" + map[string]string{"push": "pull,push"}[action])
	}
	switch ns := namespaceOf(a.Repo); {
	case a.Write() && q.ReadOnly:
		return refuse(405, "DENIED", "System is currently read-only. Pulls will succeed but all write operations are currently suspended.")
	case a.Write() && q.Full[ns]:
		return refuse(403, "DENIED", "Quota has been exceeded on namespace")
	case !s.Exists(a.Repo):
		return refuse(404, "NAME_UNKNOWN", "repository name not known to registry")
	}
	return nil
}

func (s *Server) isPublic(repo string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.public[repo]
}

func (s *Server) challenge(scope string) *registrytest.Refusal {
	c := `Bearer realm="` + s.URL() + `/v2/auth",service="` + s.Host() + `"`
	if scope != "" {
		c += `,scope="` + strings.TrimSuffix(scope, ":") + `"`
	}
	f := unauthorized()
	f.Header = header("Www-Authenticate", c)
	return f
}

// mount wants to read where the blob comes from.
func (s *Server) mount(a *registrytest.Ask, from string) bool {
	return s.issuer.Allows(a.Request, "repository:"+from, "pull") || s.isPublic(from)
}
