package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
)

// Bounds on patterns, so that no policy makes matching slow.
const (
	maxPattern      = 512 // bytes of a glob or a regular expression
	maxAlternatives = 256 // of all braces of a glob together
)

// A pattern is one compiled filter: a glob or a regular expression, either of
// which matches a whole name.
type pattern struct {
	text  string
	match func(name string) bool
}

func (p pattern) String() string { return quote(p.text) }

// compileGlob compiles a doublestar glob: * is anything but a slash, ** anything,
// ? one character, [a-z] and [!a-z] classes, {a,b} alternatives, \ the next
// character itself.
func compileGlob(text string) (pattern, error) {
	switch {
	case text == "":
		return pattern{}, errors.New("is empty; expected a glob such as v1.* or team-*/**")
	case len(text) > maxPattern:
		return pattern{}, fmt.Errorf("is a glob of %d bytes; at most %d are allowed", len(text), maxPattern)
	case !utf8.ValidString(text):
		return pattern{}, fmt.Errorf("%s is not UTF-8 text", quote(text))
	case !doublestar.ValidatePattern(text):
		return pattern{}, fmt.Errorf("%s is not a glob: a bracket, a brace or a backslash is not closed", quote(text))
	case alternatives(text) > maxAlternatives:
		return pattern{}, fmt.Errorf("%s has more than %d alternatives in its braces; write several globs", quote(text), maxAlternatives)
	}
	return pattern{text, func(name string) bool {
		ok, err := doublestar.Match(text, name)
		return err == nil && ok
	}}, nil
}

// alternatives is at least the number of plain globs that text stands for, up to
// just above [maxAlternatives].
func alternatives(text string) int {
	total, group := 1, 1
	for _, c := range text {
		switch c {
		case '{':
			group = 1
		case ',':
			group++
			total = total / max(1, group-1) * group
		}
		if total > maxAlternatives {
			return total
		}
	}
	return total
}

// compileRegexp compiles an RE2 expression that has to match a whole name.
func compileRegexp(text string) (pattern, error) {
	if text == "" || len(text) > maxPattern {
		return pattern{}, fmt.Errorf("is a regular expression of %d bytes; expected 1 to %d", len(text), maxPattern)
	}
	if _, err := regexp.Compile(text); err != nil {
		return pattern{}, badRegexp(text, err)
	}
	re, err := regexp.Compile(`^(?:` + text + `)$`)
	if err != nil {
		return pattern{}, badRegexp(text, err)
	}
	return pattern{text, re.MatchString}, nil
}

func badRegexp(text string, err error) error {
	reason := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	return fmt.Errorf("%s is not a regular expression (RE2): %s", quote(text), reason)
}

// compileAll compiles texts in order; it fails at the first that does not compile.
func compileAll(texts []string, compile func(string) (pattern, error)) ([]pattern, error) {
	var all []pattern
	for _, text := range texts {
		p, err := compile(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// matchAny returns the first of patterns that matches name.
func matchAny(patterns []pattern, name string) (pattern, bool) {
	for _, p := range patterns {
		if p.match(name) {
			return p, true
		}
	}
	return pattern{}, false
}

// A filter takes what an include matches, or anything if there is none, and
// leaves what an exclude matches.
type filter struct{ include, exclude []pattern }

func globFilter(include, exclude []string) (f filter, err error) {
	if f.include, err = compileAll(include, compileGlob); err != nil {
		return f, fmt.Errorf("include: %w", err)
	}
	if f.exclude, err = compileAll(exclude, compileGlob); err != nil {
		return f, fmt.Errorf("exclude: %w", err)
	}
	return f, nil
}

// judge says whether f takes name, and by which pattern.
func (f filter) judge(name string) (ok bool, reason string) {
	if p, hit := matchAny(f.exclude, name); hit {
		return false, fmt.Sprintf("exclude %s matches", p)
	}
	if len(f.include) == 0 {
		return true, "everything is included"
	}
	if p, hit := matchAny(f.include, name); hit {
		return true, fmt.Sprintf("include %s matches", p)
	}
	return false, "no include matches"
}

// Match reports whether the filter takes the type t, and why. A type that is
// empty is taken only where there is no include.
func (f TypeFilter) Match(t string) (ok bool, reason string) {
	compiled, err := globFilter(f.Include, f.Exclude)
	if err != nil {
		return false, err.Error()
	}
	return compiled.judge(t)
}

// IsZero reports whether everything passes.
func (f TypeFilter) IsZero() bool { return len(f.Include) == 0 && len(f.Exclude) == 0 }
