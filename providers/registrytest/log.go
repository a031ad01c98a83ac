package registrytest

import (
	"fmt"
	"strings"
	"sync"
)

// A Side is one of a server's listeners.
type Side string

// The sides.
const (
	API           Side = "api"
	StorageHost   Side = "storage"
	TokenService  Side = "token"
	logCapacity        = 20_000
	loggedHeaders      = "Accept Content-Range Content-Type If-Match If-None-Match Range User-Agent"
)

// A Request is an entry of the log.
type Request struct {
	N             int64 // the how-manieth on all sides, from 1
	Side          Side
	Class         Class
	Method        string
	Path, Query   string
	Authorization string            // the scheme alone, "" if there was none
	Header        map[string]string // Accept, Content-Range, Content-Type, If-Match, If-None-Match, Range, User-Agent
	Repo          string
	Status        int  // 0 while it is being served
	Broken        bool // its connection or body was broken on purpose or by the client
}

func (r Request) String() string {
	query := ""
	if r.Query != "" {
		query = "?" + r.Query
	}
	return fmt.Sprintf("%5d %-7s %3d %s %s%s", r.N, r.Side, r.Status, r.Method, r.Path, query)
}

// A requestLog keeps the last requests. Safe for concurrent use.
type requestLog struct {
	mu      sync.Mutex
	entries []Request
	n       int64
}

func (l *requestLog) begin(x *exchange) int64 {
	scheme, _, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	header := map[string]string{}
	for name := range strings.FieldsSeq(loggedHeaders) {
		if v := x.r.Header.Values(name); len(v) > 0 {
			header[name] = strings.Join(v, ", ")
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	e := Request{N: l.n, Side: x.side, Class: x.class, Method: x.r.Method, Path: x.r.URL.Path,
		Query: x.r.URL.RawQuery, Authorization: scheme, Header: header, Repo: x.repo}
	if len(l.entries) < logCapacity {
		l.entries = append(l.entries, e)
	} else {
		l.entries[(l.n-1)%logCapacity] = e
	}
	return l.n
}

// answered notes how x went, so far.
func (l *requestLog) answered(x *exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := &l.entries[(x.n-1)%logCapacity]; e.N == x.n {
		e.Status, e.Broken = x.status, x.broken
	}
}

// all returns the kept entries, oldest first.
func (l *requestLog) all() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	start := 0
	if l.n > int64(len(l.entries)) {
		start = int(l.n % logCapacity)
	}
	return append(append([]Request(nil), l.entries[start:]...), l.entries[:start]...)
}
