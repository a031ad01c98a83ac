package providers

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

// Names are the rules that a host has for the names of its repositories, beyond
// those that the distribution-spec has for all. Zero fields are no rule.
type Names struct {
	MinDepth  int    `json:"minDepth,omitempty"`  // path elements, at least
	MaxDepth  int    `json:"maxDepth,omitempty"`  // path elements, at most
	MinLength int    `json:"minLength,omitempty"` // bytes, at least
	MaxLength int    `json:"maxLength,omitempty"` // bytes, at most
	Pattern   string `json:"pattern,omitempty"`   // RE2; the whole name has to match
	// Says is the rule in words, for those who broke Pattern or a depth, such as
	// "project/repository/image".
	Says string `json:"says,omitempty"`
}

// IsZero reports whether there is no rule.
func (n Names) IsZero() bool { return n == Names{} }

// Check returns nil if a repository of the host may have that name, else what is
// wrong with it and what is wanted, in words for a person.
func (n Names) Check(repo string) error {
	depth := strings.Count(repo, "/") + 1
	switch {
	case n.MinDepth > 0 && depth < n.MinDepth:
		return n.refuse(repo, "has %d path elements, and the host wants at least %d", depth, n.MinDepth)
	case n.MaxDepth > 0 && depth > n.MaxDepth:
		return n.refuse(repo, "has %d path elements, and the host takes at most %d", depth, n.MaxDepth)
	case len(repo) < n.MinLength:
		return n.refuse(repo, "is %d characters long, and the host wants at least %d", len(repo), n.MinLength)
	case n.MaxLength > 0 && len(repo) > n.MaxLength:
		return n.refuse(repo, "is %d characters long, and the host takes at most %d", len(repo), n.MaxLength)
	case n.Pattern != "" && !compiled(n.Pattern).MatchString(repo):
		return n.refuse(repo, "is no repository name at this host")
	}
	return nil
}

func (n Names) refuse(repo, format string, args ...any) error {
	if len(repo) > 100 {
		repo = strings.ToValidUTF8(repo[:97], string(utf8.RuneError)) + "..."
	}
	why := fmt.Sprintf("%q "+format, append([]any{repo}, args...)...)
	if n.Says != "" {
		why += "; expected " + n.Says
	}
	return fmt.Errorf("%s", why)
}

// patterns are compiled once; there are a handful, all from provider tables.
var patterns sync.Map // string -> *regexp.Regexp

func compiled(pattern string) *regexp.Regexp {
	if re, ok := patterns.Load(pattern); ok {
		return re.(*regexp.Regexp)
	}
	re := regexp.MustCompile(`^(?:` + pattern + `)$`)
	patterns.Store(pattern, re)
	return re
}
