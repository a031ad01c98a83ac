package policy

import (
	"slices"
	"strings"
)

// globMeta are the characters that make a name a glob.
const globMeta = `*?[{\`

// IsZero reports whether all repositories are taken.
func (r Repositories) IsZero() bool { return len(r.Include) == 0 && len(r.Exclude) == 0 }

// Literal returns the repositories, sorted, each once, if every include is a
// plain name; then the registry need not be asked for its catalog. Excluded
// ones are left out. The second result is false if a listing is needed.
func (r Repositories) Literal() ([]string, bool) {
	var names []string
	for _, name := range r.Include {
		if strings.ContainsAny(name, globMeta) {
			return nil, false
		}
		if ok, _ := r.Match(name); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), len(r.Include) > 0
}

// Prefix returns the longest text with which the name of every repository that
// the includes match begins, for registries that can list by prefix.
func (r Repositories) Prefix() string {
	if len(r.Include) == 0 {
		return ""
	}
	prefix := literalPrefix(r.Include[0])
	for _, glob := range r.Include[1:] {
		prefix = commonPrefix(prefix, literalPrefix(glob))
	}
	return prefix
}

// literalPrefix is what glob begins with before its first special character. A
// slash before ** is not part of it, as a/** matches a too.
func literalPrefix(glob string) string {
	i := strings.IndexAny(glob, globMeta)
	if i < 0 {
		return glob
	}
	prefix := glob[:i]
	if strings.HasPrefix(glob[i:], "**") || glob[i] == '{' {
		prefix = strings.TrimSuffix(prefix, "/")
	}
	return prefix
}

func commonPrefix(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}

// Match reports whether the repository is taken, and by which pattern.
func (r Repositories) Match(repo string) (ok bool, reason string) {
	m, err := r.Matcher()
	if err != nil {
		return false, err.Error()
	}
	return m.Match(repo)
}

// A RepositoryMatcher is [Repositories] compiled, for long lists. It is safe for
// concurrent use.
type RepositoryMatcher struct{ f filter }

// Matcher compiles r. It fails only for a policy that was not validated.
func (r Repositories) Matcher() (RepositoryMatcher, error) {
	f, err := globFilter(r.Include, r.Exclude)
	return RepositoryMatcher{f}, err
}

// Match reports whether the repository is taken, and by which pattern.
func (m RepositoryMatcher) Match(repo string) (ok bool, reason string) { return m.f.judge(repo) }
