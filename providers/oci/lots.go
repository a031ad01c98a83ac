package oci

import (
	"strings"
	"sync"
)

// lots puts the repositories that will be asked for into lots that share a token.
type lots struct {
	mu      sync.Mutex
	most    int      // repositories a token; below 2 none share
	names   []string // in the order of their expectation
	at      map[string]int
	strikes int // lots that the token service refused
}

func (l *lots) expect(repos []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.most < 2 {
		return
	}
	if l.at == nil {
		l.at = map[string]int{}
	}
	for _, repo := range repos {
		if _, known := l.at[repo]; !known {
			l.at[repo] = len(l.names)
			l.names = append(l.names, repo)
		}
	}
}

// of widens want to its whole lot; ok is false if want stands alone.
func (l *lots) of(want scopes) (lot scopes, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.most < 2 || len(want) == 0 || want[0].resource != want[len(want)-1].resource {
		return want, false
	}
	at, ok := l.at[strings.TrimPrefix(want[0].resource, "repository:")]
	if !ok {
		return want, false
	}
	first := at / l.most * l.most
	var all []access
	for _, name := range l.names[first:min(first+l.most, len(l.names))] {
		for _, a := range want {
			all = append(all, access{"repository:" + name, a.action})
		}
	}
	return newScopes(all...), len(all) > len(want)
}

// halve makes lots smaller: a token for one is too long for a header.
func (l *lots) halve() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most /= 2
}

// strike takes the repositories of scopes, which the service or the host refused
// as a lot, out of theirs; after three refusals there are no lots any more.
func (l *lots) strike(refused scopes) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range refused {
		delete(l.at, strings.TrimPrefix(a.resource, "repository:"))
	}
	if l.strikes++; l.strikes >= 3 {
		l.most = 0
	}
}
