package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Problem is one mistake in a policy. Line and Column count from 1; Line is 0
// where the policy is not a file. Path is as in rules[2].to[0].registry, within
// its file.
type Problem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
}

// String prints as compilers do: policy.yaml:14:21: rules[2].to[0].registry: no registry "gpc"
func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.Line > 0 && p.Column > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	case p.Line > 0:
		fmt.Fprintf(&b, "%s:%d: ", p.File, p.Line)
	case p.File != "":
		fmt.Fprintf(&b, "%s: ", p.File)
	}
	if p.Path != "" {
		fmt.Fprintf(&b, "%s: ", p.Path)
	}
	return b.String() + p.Message
}

// Problems is every mistake that was found, sorted by file, line, column, path.
type Problems []Problem

// maxPrinted is how many problems Error prints.
const maxPrinted = 200

// Error prints a line for each problem, without a line break at the end.
func (ps Problems) Error() string {
	lines := make([]string, 0, min(len(ps), maxPrinted)+1)
	for i, p := range ps {
		if i == maxPrinted {
			lines = append(lines, fmt.Sprintf("and %d more problems", len(ps)-i))
			break
		}
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// Err returns ps sorted, as an error, nil if there are none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	ps.sort()
	return ps
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
}

func (ps *Problems) add(path, format string, args ...any) {
	*ps = append(*ps, Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

// A position is where a value stood, and by which path within its file.
type position struct {
	file         string
	line, column int
	path         string
}

// positions are keyed by the path within the whole set.
type positions map[string]position

// place fills in where p stands: at its path, or at the nearest one above it
// that was written down.
func (at positions) place(p Problem) Problem {
	for path := p.Path; ; path = parent(path) {
		if pos, ok := at[path]; ok {
			p.File, p.Line, p.Column = pos.file, pos.line, pos.column
			p.Path = strings.TrimPrefix(pos.path+p.Path[len(path):], ".")
			return p
		}
		if path == "" {
			return p
		}
	}
}

// parent cuts the last step off a path: rules[2].to[0] gives rules[2].to.
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

// join appends a key to a path.
func join(path, key string) string { return strings.TrimPrefix(path+"."+key, ".") }
