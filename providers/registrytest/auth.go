package registrytest

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// service is the name of the registry at its token service.
const service = "registrytest"

// catalogName is the catalog as a resource of the token service.
const catalogName = "registry:catalog"

// actionOf is what a request needs, "" if signing in is enough.
func actionOf(c Class) string {
	switch c {
	case Ping, Other:
		return ""
	case Catalog:
		return "*"
	case ManifestDelete, BlobDelete:
		return "delete"
	}
	if c.write() || c == UploadStatus {
		return "push"
	}
	return "pull"
}

// authorize asks who sent x and whether they may.
func (s *Server) authorize(x *exchange) (refusal, bool) {
	name := x.repo
	if x.class == Catalog {
		name = catalogName
	}
	switch action := actionOf(x.class); x.q.Mode {
	case Basic:
		return s.authorizeBasic(x, name, action)
	case Bearer:
		return s.authorizeBearer(x, name, action)
	}
	return refusal{}, true
}

func (s *Server) authorizeBasic(x *exchange, name, action string) (refusal, bool) {
	user, password, given := x.r.BasicAuth()
	if given && !x.q.knows(user, password) || !given && !x.q.allows("", name, action) {
		x.Header().Set("Www-Authenticate", fmt.Sprintf(`Basic realm=%q,service=%q`, s.api.url+"/", service))
		return unauthorized, false
	}
	x.user = user
	if !x.q.allows(user, name, action) {
		return denied, false
	}
	return refusal{}, true
}

var unauthorized = refusal{401, "UNAUTHORIZED", "authentication required", nil}

func (s *Server) authorizeBearer(x *exchange, name, action string) (refusal, bool) {
	given, isBearer := strings.CutPrefix(x.r.Header.Get("Authorization"), "Bearer ")
	t, good := s.tokens.get(given)
	reason := ""
	switch {
	case good && (action == "" || t.allows(name, action)):
		x.user = t.user
		return refusal{}, true
	case good:
		reason = "insufficient_scope"
	case isBearer:
		reason = "invalid_token"
	}
	x.Header().Set("Www-Authenticate", s.challenge(x, name, action, reason))
	return unauthorized, false
}

// challenge says where to get which token (distribution's token specification).
func (s *Server) challenge(x *exchange, name, action, reason string) string {
	realm := s.TokenURL()
	if x.q.Realm != "" {
		realm = x.q.Realm
	}
	c := fmt.Sprintf(`Bearer realm=%q,service=%q`, realm, service)
	if scope := scopeOf(name, action); scope != "" {
		c += fmt.Sprintf(`,scope=%q`, scope)
	}
	if reason != "" {
		c += fmt.Sprintf(`,error=%q`, reason)
	}
	return c
}

func scopeOf(name, action string) string {
	switch {
	case action == "":
		return ""
	case name == catalogName:
		return catalogName + ":*"
	case action == "push":
		action = "pull,push"
	}
	return "repository:" + name + ":" + action
}

// knows reports whether this is a user's password.
func (a *Auth) knows(user, password string) bool {
	want, ok := a.Users[user]
	return ok && want == password
}

// allows reports whether the user may do the action; "" is to sign in.
func (a *Auth) allows(user, name, action string) bool {
	if a.AnonymousPull && (action == "pull" || user == "" && action == "") {
		return true
	}
	grants, limited := a.Grants[user]
	if !limited {
		return user != ""
	}
	return action == "" || slices.ContainsFunc(grants, func(g Grant) bool { return g.covers(name, action) })
}

func (g Grant) covers(name, action string) bool {
	if !slices.Contains(g.Actions, action) && !slices.Contains(g.Actions, "*") {
		return false
	}
	ok, err := path.Match(g.Repositories, name)
	return g.Repositories == "**" || err == nil && ok
}

// mayPull reports whether x's sender may read another repository, as a mount wants.
func (s *Server) mayPull(x *exchange, repo string) bool {
	switch x.q.Mode {
	case Basic:
		return x.q.allows(x.user, repo, "pull")
	case Bearer:
		t, ok := s.tokens.get(strings.TrimPrefix(x.r.Header.Get("Authorization"), "Bearer "))
		return ok && t.allows(repo, "pull")
	}
	return true
}

// serveToken is the token service.
func (s *Server) serveToken(x *exchange) {
	if x.r.URL.Path != "/token" {
		notFound.send(x)
		return
	}
	if s.cloud.Token != nil {
		if f := s.cloud.Token(x.r); f != nil {
			f.send(x)
			return
		}
	}
	user, form, ok := x.identify()
	if !ok {
		unauthorized.send(x)
		return
	}
	s.issue(x, user, form)
}

// identify reads the credential of a token request: Basic or none with GET, a
// refresh token or a password in the form with POST.
func (x *exchange) identify() (user string, form url.Values, ok bool) {
	if x.r.Method == http.MethodPost {
		x.r.Body = http.MaxBytesReader(x, x.r.Body, 1<<20)
		if err := x.r.ParseForm(); err != nil {
			return "", nil, false
		}
		form = x.r.PostForm
		if form.Get("grant_type") == "refresh_token" {
			user, ok = x.q.Identities[form.Get("refresh_token")]
			return user, form, ok
		}
		user = form.Get("username")
		return user, form, x.q.knows(user, form.Get("password"))
	}
	form = x.r.URL.Query()
	user, password, given := x.r.BasicAuth()
	return user, form, !given || x.q.knows(user, password)
}
