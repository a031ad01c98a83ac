package oci

import (
	"strings"
	"sync"
	"time"
)

// lots puts the repositories that will be asked for into lots that share a token:
// as many as there may be, as long as the token is short enough for a header.
type lots struct {
	most  int // repositories a token; below 2 none share
	entry int // bytes that a repository has in a token beside its name

	mu      sync.Mutex
	all     [][]string     // in the order of their expectation
	bytes   int            // of the last one
	at      map[string]int // in which lot a repository is
	alone   map[string]time.Time
	strikes int // lots that were refused lately
	last    time.Time
	off     time.Time // until when there are no lots
}

const (
	maxExpected = 100_000   // repositories in lots; beyond, each has its own token
	loneFor     = time.Hour // how long what was refused in lots is asked for alone
	maxStrikes  = 3         // within loneFor; then nothing is asked for in lots as long
	tokenRest   = 1100      // bytes of a token beside its accesses: other claims, signature
)

// entryOf is how many bytes of a JWT's claims allow a repository these actions.
func entryOf(actions ...string) int {
	return len(`{"type":"repository","name":"","actions":[]},`) + len(strings.Join(actions, `","`)) + 2
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
		if _, known := l.at[repo]; !known && len(l.at) < maxExpected {
			l.add(repo)
		}
	}
}

// add puts repo into the last lot, or into a new one if that is full. The lock is held.
func (l *lots) add(repo string) {
	size := (len(repo) + l.entry) * 4 / 3 // in base64
	last := len(l.all) - 1
	if last < 0 || len(l.all[last]) >= l.most || l.bytes+size > maxHeader-tokenRest {
		l.all, l.bytes, last = append(l.all, nil), 0, last+1
	}
	l.all[last] = append(l.all[last], repo)
	l.bytes += size
	l.at[repo] = last
}

// of widens want to its whole lot; ok is false if want stands alone.
func (l *lots) of(want scopes) (lot scopes, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.most < 2 || len(want) == 0 || want[0].resource != want[len(want)-1].resource || now.Before(l.off) {
		return want, false
	}
	repo := strings.TrimPrefix(want[0].resource, "repository:")
	at, ok := l.at[repo]
	if !ok || l.isAlone(repo, now) {
		return want, false
	}
	var all []access
	for _, name := range l.all[at] {
		if l.isAlone(name, now) {
			continue
		}
		for _, a := range want {
			all = append(all, access{"repository:" + name, a.action})
		}
	}
	return newScopes(all...), len(all) > len(want)
}

// isAlone reports whether repo is asked for without its lot. The lock is held.
func (l *lots) isAlone(repo string, now time.Time) bool {
	until, ok := l.alone[repo]
	if ok && !now.Before(until) {
		delete(l.alone, repo)
		return false
	}
	return ok
}

// shrink makes lots smaller: a token for n repositories is too long for a header.
func (l *lots) shrink(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.most <= n/2 {
		return // somebody else's was too long, too
	}
	l.most = n / 2
	old := l.all
	l.all = nil
	for _, lot := range old {
		for _, repo := range lot {
			l.add(repo)
		}
	}
}

// strike takes the repositories of scopes, which the service or the host refused
// as a lot, out of theirs for a while. After some refusals within that while there
// are no lots for as long: it costs a few refusals an hour at most.
func (l *lots) strike(refused scopes) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.alone == nil {
		l.alone = map[string]time.Time{}
	}
	for _, a := range refused {
		repo := strings.TrimPrefix(a.resource, "repository:")
		if _, known := l.at[repo]; known {
			l.alone[repo] = now.Add(loneFor)
		}
	}
	if now.Sub(l.last) > loneFor {
		l.strikes = 0
	}
	l.last = now
	if l.strikes++; l.strikes >= maxStrikes {
		l.off, l.strikes = now.Add(loneFor), 0
	}
}
