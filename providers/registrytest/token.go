package registrytest

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A token is what the token service gave to someone.
type token struct {
	user    string
	access  map[string][]string // repository -> actions
	expires time.Time
}

func (t token) allows(name, action string) bool {
	return slices.Contains(t.access[name], action) || slices.Contains(t.access[name], "*")
}

// tokens are those that are good. Safe for concurrent use.
type tokens struct {
	mu    sync.Mutex
	known map[string]token
}

func newTokens() *tokens { return &tokens{known: map[string]token{}} }

func (t *tokens) get(name string) (token, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.known[name]
	if ok && time.Now().After(found.expires) {
		delete(t.known, name)
		return token{}, false
	}
	return found, ok
}

func (t *tokens) add(name string, of token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known[name] = of
}

func (t *tokens) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.known)
}

// tokenLife is how long a token is good unless the quirks say otherwise.
const tokenLife = 5 * time.Minute

// issue answers with a token for as much of the scopes as the user is granted.
func (s *Server) issue(x *exchange, user string, form map[string][]string) {
	life := x.q.TokenLife
	if life == 0 {
		life = tokenLife
	}
	t := token{user: user, access: map[string][]string{}, expires: time.Now().Add(life)}
	for i, scope := range scopes(form["scope"]) {
		if i > 0 && x.q.OneScope {
			break
		}
		t.grant(x.q, scope)
	}
	name := secret()
	s.tokens.add(name, t)
	answer := map[string]any{"token": name, "access_token": name}
	if !x.q.NoExpiresIn {
		answer["expires_in"] = max(1, int(math.Floor(life.Seconds())))
		answer["issued_at"] = time.Now().UTC().Format(time.RFC3339)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err) // a map of strings and numbers
	}
	sendJSON(x, http.StatusOK, body)
}

// scopes takes apart parameters that hold one scope each or several with spaces.
func scopes(params []string) []string {
	var all []string
	for _, p := range params {
		all = append(all, strings.Fields(p)...)
	}
	return all
}

// grant adds what of a scope ("repository:name:pull,push") the user may do.
func (t *token) grant(q *Quirks, scope string) {
	i, j := strings.Index(scope, ":"), strings.LastIndex(scope, ":")
	if i < 0 || i == j {
		return
	}
	name := scope[i+1 : j]
	if scope[:i] == "registry" {
		name = scope[:j]
	}
	for action := range strings.SplitSeq(scope[j+1:], ",") {
		if q.allows(t.user, name, action) {
			t.access[name] = append(t.access[name], action)
		}
	}
}
