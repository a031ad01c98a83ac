package tracetest

import (
	"fmt"
	"slices"
	"strings"
)

// Tree prints spans as trees, each below its parent, in the order of what is printed
// of them: the name, what is asked for of the attributes, and the error. A span whose
// parent did not come, or is of another trace, stands below "lost".
func Tree(spans []Span, attributes ...string) string {
	at := map[string]Span{}
	for _, s := range spans {
		at[s.ID] = s
	}
	var roots, lost []string
	for _, s := range spans {
		switch parent, has := at[s.Parent]; {
		case s.Parent == "":
			roots = append(roots, branch(spans, s, attributes))
		case !has || parent.Trace != s.Trace:
			lost = append(lost, branch(spans, s, attributes))
		}
	}
	slices.Sort(roots)
	if len(lost) > 0 {
		slices.Sort(lost)
		roots = append(roots, "lost\n"+indent(strings.Join(lost, "")))
	}
	return strings.Join(roots, "")
}

func branch(spans []Span, s Span, attributes []string) string {
	line := s.Name
	for _, name := range attributes {
		if v, has := s.Attributes["transship."+name]; has {
			line += fmt.Sprintf(" %s=%s", name, v)
		}
	}
	if s.Error != "" {
		line += " error=" + s.Error
	}
	var below []string
	for _, c := range spans {
		if c.Parent == s.ID && c.Trace == s.Trace {
			below = append(below, branch(spans, c, attributes))
		}
	}
	slices.Sort(below)
	return line + "\n" + indent(strings.Join(below, ""))
}

func indent(text string) string {
	if text == "" {
		return ""
	}
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}
