package oci

import (
	"net/http"
	"strings"
)

// A challenge is how a host wants requests to be signed (RFC 9110 section 11.6.1).
type challenge struct {
	scheme string            // lower case: "bearer", "basic", "" for none
	params map[string]string // names in lower case
}

// findChallenge picks the challenge that we can meet, bearer before basic; ok is
// false if the header has neither.
func findChallenge(h http.Header) (challenge, bool) {
	var basic challenge
	for _, value := range h.Values("WWW-Authenticate") {
		for _, c := range parseChallenges(value) {
			switch c.scheme {
			case "bearer":
				return c, true
			case "basic":
				basic = c
			}
		}
	}
	return basic, basic.scheme != ""
}

// parseChallenges reads one header line, which may hold several challenges. It
// takes what it understands and never fails.
func parseChallenges(s string) []challenge {
	var all []challenge
	for {
		s = strings.TrimLeft(s, " \t,")
		word, rest := token(s)
		if word == "" {
			return all
		}
		after := strings.TrimLeft(rest, " \t")
		if strings.HasPrefix(after, "=") && len(all) > 0 {
			var value string
			value, s = paramValue(strings.TrimLeft(after[1:], " \t"))
			last := all[len(all)-1]
			if _, twice := last.params[strings.ToLower(word)]; !twice {
				last.params[strings.ToLower(word)] = value
			}
			continue
		}
		if strings.HasPrefix(after, "=") {
			return all // a parameter of no scheme
		}
		all = append(all, challenge{strings.ToLower(word), map[string]string{}})
		s = after
	}
}

// token splits a leading token (RFC 9110 section 5.6.2) off s.
func token(s string) (word, rest string) {
	end := strings.IndexFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.ContainsRune("!#$%&'*+-.^_`|~", c))
	})
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:]
}

// paramValue splits a leading token or quoted string off s.
func paramValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		// Some hosts leave the quotes of URLs out.
		if end := strings.IndexAny(s, ", \t"); end >= 0 {
			return s[:end], s[end:]
		}
		return s, ""
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}
