package registrytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// listRepositories answers the catalog.
func (s *Server) listRepositories(x *exchange) {
	if x.q.NoCatalog {
		x.q.noCatalog().send(x)
		return
	}
	page, ok := s.page(x, s.store.names())
	if ok {
		sendList(x, map[string]any{"repositories": page})
	}
}

// noCatalog is how the catalog is refused: with the code that goes with the status.
func (l *Listing) noCatalog() refusal {
	switch l.CatalogStatus {
	case http.StatusUnauthorized:
		return unauthorized
	case http.StatusForbidden:
		return denied
	case 0:
		return refusal{http.StatusNotFound, "UNSUPPORTED", "the catalog is not available", nil}
	}
	return refusal{l.CatalogStatus, "UNSUPPORTED", "the catalog is not available", nil}
}

// listTags answers the tags of a repository.
func (s *Server) listTags(x *exchange) {
	tags, ok := s.store.tags(x.repo)
	if !ok {
		nameUnknown.because(map[string]string{"name": x.repo}).send(x)
		return
	}
	for _, ghost := range x.q.GhostTags {
		tags[ghost] = ""
	}
	names := x.q.sorted(x.q.Seed, tags)
	if x.q.Circle || x.q.NoEnd {
		sendList(x, map[string]any{"name": x.repo, "tags": x.odd(names)})
		return
	}
	page, ok := s.page(x, names)
	if ok {
		sendList(x, map[string]any{"name": x.repo, "tags": page})
	}
}

// odd returns a page of a list that has no end, and links to the next one.
func (x *exchange) odd(names []string) []string {
	at, _ := strconv.Atoi(x.r.URL.Query().Get("last")) // ours, or the first
	next := at + 1
	if x.q.Circle {
		next = (at + 1) % 2
	}
	x.link(1000, strconv.Itoa(next))
	switch {
	case at == 0:
		return names
	case x.q.Circle:
		return []string{"round"}
	}
	return []string{"more-" + strconv.Itoa(at)}
}

// sorted returns the tags in the order of the quirks.
func (l *Listing) sorted(seed uint64, tags map[string]string) []string {
	names := make([]string, 0, len(tags))
	for name := range tags {
		names = append(names, name)
	}
	slices.Sort(names)
	switch l.Order {
	case Reverse:
		slices.Reverse(names)
	case Shuffled:
		slices.SortStableFunc(names, func(a, b string) int {
			return int((chance(seed, a, 0) - chance(seed, b, 0)) * (1 << 30))
		})
	}
	return names
}

// page cuts the page that x asks for out of all, and links to the next one. It
// reports whether x has not been answered yet.
func (s *Server) page(x *exchange, all []string) ([]string, bool) {
	n, f, ok := x.q.size(x.r.URL.Query())
	if !ok {
		f.send(x)
		return nil, false
	}
	if x.q.IgnorePaging {
		return all, true
	}
	rest := all
	if last := x.r.URL.Query().Get("last"); last != "" && !x.q.SamePage {
		rest = after(all, last, x.q.Order == Lexical)
	}
	trailing := x.q.TrailingLink && x.class == Tags && len(rest) == n
	if n < 0 || len(rest) <= n && !x.q.SamePage && !trailing {
		return rest, true
	}
	rest = rest[:min(n, len(rest))]
	if !x.q.NoLink && len(rest) > 0 {
		x.link(n, rest[len(rest)-1])
	}
	return rest, true
}

// size is the page size for a query, -1 for no bound.
func (l *Listing) size(q url.Values) (int, refusal, bool) {
	n := -1
	if l.PageDefault > 0 {
		n = l.PageDefault
	}
	if text := q.Get("n"); text != "" {
		asked, err := strconv.Atoi(text)
		if err != nil || asked < 0 {
			return 0, refusal{400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested", map[string]any{"n": text}}, false
		}
		n = asked
	}
	if l.PageMax > 0 && n > l.PageMax {
		if l.RefuseOverMax {
			return 0, refusal{405, "UNSUPPORTED", fmt.Sprintf("Invalid parameter at 'maxResults' failed to satisfy constraint: "+
				"'Member must have value less than or equal to %d'", l.PageMax), nil}, false
		}
		n = l.PageMax
	}
	if l.PageMax > 0 && n < 0 {
		n = l.PageMax
	}
	return n, refusal{}, true
}

// after returns what follows last: in the lexical order whether or not last is
// there, in any other only if it is.
func after(all []string, last string, lexical bool) []string {
	if lexical {
		i, found := slices.BinarySearch(all, last)
		if found {
			i++
		}
		return all[i:]
	}
	return all[slices.Index(all, last)+1:]
}

// link names the next page (RFC 8288).
func (x *exchange) link(n int, last string) {
	next := x.r.URL.Path + "?" + url.Values{"n": {strconv.Itoa(n)}, "last": {last}}.Encode()
	if x.q.AbsoluteLink {
		next = x.s.api.url + next
	}
	x.Header().Set("Link", "<"+next+`>; rel="next"`)
}

func sendList(x *exchange, list map[string]any) {
	body, err := json.Marshal(list)
	if err != nil {
		panic(err) // names and lists of names
	}
	sendJSON(x, http.StatusOK, append(body, '\n'))
}
