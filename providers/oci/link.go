package oci

import (
	"net/http"
	"strings"
)

// nextLink returns the target of the first Link header value whose relation is
// next (RFC 8288, which replaced RFC 5988), "" if there is none.
func nextLink(h http.Header) string {
	for _, line := range h.Values("Link") {
		for line != "" {
			var target, params string
			target, params, line = linkValue(line)
			if target != "" && isNext(params) {
				return target
			}
		}
	}
	return ""
}

// linkValue splits the first link off a header line. Commas inside <> and quotes
// separate nothing.
func linkValue(s string) (target, params, rest string) {
	open := strings.IndexByte(s, '<')
	if open < 0 {
		return "", "", ""
	}
	s = s[open+1:]
	end := strings.IndexByte(s, '>')
	if end < 0 {
		return "", "", ""
	}
	target, s = s[:end], s[end+1:]
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			return target, s[:i], s[i+1:]
		}
	}
	return target, s, ""
}

// isNext reports whether parameters such as `; rel="next"` name the next page.
func isNext(params string) bool {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "rel") {
			continue
		}
		for rel := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(rel, "next") {
				return true
			}
		}
	}
	return false
}
