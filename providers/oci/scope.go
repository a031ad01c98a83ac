package oci

import (
	"slices"
	"strings"
)

// scopes are the accesses that a request needs, sorted, each once
// (distribution's token scope grammar: resource type, name and action).
type scopes []access

type access struct {
	resource string // "repository:team/app", "registry:catalog"
	action   string // "pull", "push", "*"
}

func compareAccess(a, b access) int {
	if c := strings.Compare(a.resource, b.resource); c != 0 {
		return c
	}
	return strings.Compare(a.action, b.action)
}

func newScopes(all ...access) scopes {
	s := append(scopes{}, all...)
	slices.SortFunc(s, compareAccess)
	return slices.Compact(s)
}

func pull(repo string) scopes { return newScopes(access{"repository:" + repo, "pull"}) }

func push(repo string) scopes {
	return newScopes(access{"repository:" + repo, "pull"}, access{"repository:" + repo, "push"})
}

func catalog() scopes { return newScopes(access{"registry:catalog", "*"}) }

func (s scopes) with(more scopes) scopes { return newScopes(slices.Concat(s, more)...) }

// covers reports whether s holds all of want.
func (s scopes) covers(want scopes) bool {
	for _, a := range want {
		if _, ok := slices.BinarySearchFunc(s, a, compareAccess); !ok {
			return false
		}
	}
	return true
}

// strings renders s as one scope a resource: "repository:team/app:pull,push".
func (s scopes) strings() []string {
	var out []string
	for i, a := range s {
		if i > 0 && s[i-1].resource == a.resource {
			out[len(out)-1] += "," + a.action
		} else {
			out = append(out, a.resource+":"+a.action)
		}
	}
	return out
}

func (s scopes) key() string { return strings.Join(s.strings(), " ") }

// parseScopes reads a challenge's scope parameter; what it cannot read is left out.
func parseScopes(text string) scopes {
	var all scopes
	for _, field := range strings.Fields(text) {
		colon := strings.LastIndexByte(field, ':')
		if colon <= 0 || !strings.Contains(field[:colon], ":") {
			continue
		}
		for action := range strings.SplitSeq(field[colon+1:], ",") {
			if action != "" {
				all = append(all, access{field[:colon], action})
			}
		}
	}
	return newScopes(all...)
}

// parseScopeList reads scopes that we wrote ourselves.
func parseScopeList(list []string) scopes { return parseScopes(strings.Join(list, " ")) }
