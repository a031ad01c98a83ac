package acrtest

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/transship/transship/providers/registrytest"
)

// A session is what a token of the registry is for.
type session struct {
	client string // "" is anyone
	access []granted
	ends   time.Time
}

// granted is an entry of a token's "access" claim.
type granted struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

func (t session) allows(kind, name, action string) bool {
	return slices.ContainsFunc(t.access, func(g granted) bool {
		return g.Type == kind && g.Name == name && slices.Contains(g.Actions, action)
	})
}

// tokenUser is docker's user name for a refresh token as the password.
const tokenUser = "00000000-0000-0000-0000-000000000000"

// serveExchange turns a token of Entra into the registry's refresh token.
func (s *Server) serveExchange(w http.ResponseWriter, r *http.Request) *registrytest.Refusal {
	if f := s.formOf(r); f != nil {
		return f
	}
	id, known := s.entra.holder(r.PostForm.Get("access_token"))
	q := s.config()
	switch service := r.PostForm.Get("service"); {
	case r.PostForm.Get("grant_type") != "access_token":
		return refuse(400, "UNSUPPORTED", "grant_type is not supported", nil)
	case service != s.Host():
		return refuse(400, "UNAUTHORIZED", "service is not this registry", nil)
	case !known:
		return refuse(401, "UNAUTHORIZED", "authentication required, visit https://aka.ms/acr/authorization for more information.", nil)
	case id.audience != RegistryAudience && (id.audience != ARMAudience || !q.ARMTokens):
		return refuse(401, "UNAUTHORIZED", "aad access token with arm audience is not allowed", nil)
	case id.tenant != s.tenant:
		return refuse(401, "UNAUTHORIZED", "the token's tenant is not that of the registry", nil)
	}
	token := s.newRefresh(id.app.ClientID, id.tenant)
	answer(w, 200, map[string]string{"refresh_token": token})
	return nil
}

func (s *Server) newRefresh(client, tenant string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	ends := now.Add(s.quirks.RefreshLife)
	token := jwt(map[string]any{"sub": client, "aud": s.Host(), "iss": "Azure Container Registry", "grant_type": "refresh_token",
		"appid": client, "tenant": tenant, "iat": now.Unix(), "nbf": now.Unix(), "exp": ends.Unix(), "version": 1.0}, s.quirks.DirtyTokens)
	s.refresh[token] = session{client: client, ends: ends}
	return token
}

func (s *Server) formOf(r *http.Request) *registrytest.Refusal {
	if r.Method != http.MethodPost {
		return refuse(405, "UNSUPPORTED", "the operation is unsupported", nil)
	}
	if err := r.ParseForm(); err != nil {
		return refuse(400, "UNSUPPORTED", "the body cannot be read", nil)
	}
	return nil
}

// serveToken gives an access token for as much of the scopes as is allowed.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) *registrytest.Refusal {
	client, scopes, ok, f := s.whoAsks(r)
	if f != nil {
		return f
	}
	if !ok {
		return refuse(401, "UNAUTHORIZED", "authentication required, visit https://aka.ms/acr/authorization for more information.", nil)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	t := session{client: client, access: []granted{}, ends: now.Add(s.quirks.AccessLife)}
	for _, scope := range scopes {
		if g, ok := s.grant(client, scope); ok {
			t.access = append(t.access, g)
		}
	}
	token := jwt(map[string]any{"sub": cmp.Or(client, "anonymous"), "aud": s.Host(), "iss": "Azure Container Registry", "grant_type": "access_token",
		"access": t.access, "roles": []string{}, "iat": now.Unix(), "nbf": now.Unix(), "exp": t.ends.Unix(), "version": 1.0}, s.quirks.DirtyTokens)
	s.access[token] = t
	out := map[string]any{"access_token": token}
	if s.quirks.ExpiresIn {
		out["expires_in"] = int(s.quirks.AccessLife.Seconds())
	}
	answer(w, 200, out)
	return nil
}

// whoAsks reads the credential of a token request: a refresh token in the form or
// as Basic's password, a password grant of nobody, or a client's own secret.
func (s *Server) whoAsks(r *http.Request) (client string, scopes []string, ok bool, f *registrytest.Refusal) {
	token, user, secret := "", "", ""
	if r.Method == http.MethodGet {
		user, secret, _ = r.BasicAuth()
		scopes = r.URL.Query()["scope"]
	} else {
		if f := s.formOf(r); f != nil {
			return "", nil, false, f
		}
		scopes = r.PostForm["scope"]
		switch r.PostForm.Get("grant_type") {
		case "refresh_token":
			token = r.PostForm.Get("refresh_token")
		case "password":
			user, secret = r.PostForm.Get("username"), r.PostForm.Get("password")
		default:
			return "", nil, false, refuse(400, "UNSUPPORTED", "grant_type is not supported", nil)
		}
	}
	if user == tokenUser {
		token = secret
	}
	switch {
	case token != "":
		client, ok = s.refreshed(token)
	case user == "" && secret == "":
		ok = s.config().AnonymousPull
	default:
		ok = s.entra.knows(user, secret)
		client = user
	}
	return client, strings.Fields(strings.Join(scopes, " ")), ok, nil
}

func (s *Server) refreshed(token string) (client string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.refresh[token]
	return t.client, ok && time.Now().Before(t.ends)
}

// knows reports whether this is a service principal's secret.
func (e *Entra) knows(clientID, secret string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.apps[clientID]
	return a != nil && secret != "" && a.Secret == secret && (a.SecretEnds.IsZero() || time.Now().Before(a.SecretEnds))
}

// grant is what of a scope is allowed; ok is false if that is nothing. The lock is held.
func (s *Server) grant(client, scope string) (g granted, ok bool) {
	first, last := strings.Index(scope, ":"), strings.LastIndex(scope, ":")
	if first < 0 || first == last {
		return granted{}, false
	}
	g.Type, g.Name = scope[:first], scope[first+1:last]
	for action := range strings.SplitSeq(scope[last+1:], ",") {
		if s.may(client, g.Type, g.Name, action) {
			g.Actions = append(g.Actions, action)
		}
	}
	return g, len(g.Actions) > 0
}
