package registrytest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// An Issuer is the bearer tokens of an emulator's own token service: one at an
// address, with grants or words that are not those of the front's. The zero value
// has given none. Safe for concurrent use.
type Issuer struct{ tokens tokens }

// Issue answers a token request of user with a token that is good for life and
// allows what allow says, of resources as "repository:team/app" or "registry:catalog".
// Each scope is named once by its resource and the actions that are asked for.
func (i *Issuer) Issue(w http.ResponseWriter, user string, asked []string, life time.Duration, allow func(resource string, actions []string) []string) {
	t := token{user: user, access: map[string][]string{}, expires: time.Now().Add(life)}
	for _, scope := range scopes(asked) {
		first, last := strings.Index(scope, ":"), strings.LastIndex(scope, ":")
		if first < 0 || first == last {
			continue
		}
		t.access[scope[:last]] = append(t.access[scope[:last]], allow(scope[:last], strings.Split(scope[last+1:], ","))...)
	}
	name := secret()
	i.tokens.mu.Lock()
	if i.tokens.known == nil {
		i.tokens.known = map[string]token{}
	}
	i.tokens.known[name] = t
	i.tokens.mu.Unlock()
	body, err := json.Marshal(map[string]any{"token": name, "expires_in": int(life.Seconds())})
	if err != nil {
		panic(err) // a string and a number
	}
	sendJSON(w, http.StatusOK, body)
}

// Holder is whose token a request shows, if that is good.
func (i *Issuer) Holder(r *http.Request) (user string, ok bool) {
	t, ok := i.shown(r)
	return t.user, ok
}

// Allows reports whether the token that a request shows is good for the action.
func (i *Issuer) Allows(r *http.Request, resource, action string) bool {
	t, ok := i.shown(r)
	return ok && slices.Contains(t.access[resource], action)
}

// Expire ends every token.
func (i *Issuer) Expire() { i.tokens.clear() }

func (i *Issuer) shown(r *http.Request) (token, bool) {
	given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return i.tokens.get(given)
}

// Needs is what a request of the class needs of a repository: "pull", "push" or
// "delete"; "*" of the catalog, and "" where signing in is enough.
func Needs(c Class) string { return actionOf(c) }
