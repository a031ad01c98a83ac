package policy

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// maxName bounds in bytes a template, its result and every step between.
const maxName = 4096

// place is what templates know.
type place struct{ Registry, Repository, Tag string }

// functions are what templates may call besides the comparisons of text/template.
func functions() template.FuncMap {
	return template.FuncMap{
		"trimPrefix":   func(prefix, s string) string { return strings.TrimPrefix(s, prefix) },
		"trimSuffix":   func(suffix, s string) string { return strings.TrimSuffix(s, suffix) },
		"replace":      func(old, new, s string) (string, error) { return bounded(strings.ReplaceAll(s, old, new)) },
		"regexReplace": regexReplace,
		"base":         path.Base,
		"dir":          dir,
		"lower":        strings.ToLower,
	}
}

// regexReplace replaces every match of an RE2 pattern; $1 or ${name} in the
// replacement is a group.
func regexReplace(pattern, replacement, s string) (string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return "", badRegexp(pattern, err)
	}
	return bounded(re.ReplaceAllString(s, replacement))
}

// dir is all but the last part of a repository, "" for one with a single part.
func dir(repo string) string { return repo[:max(0, strings.LastIndexByte(repo, '/'))] }

func bounded(s string) (string, error) {
	if len(s) > maxName {
		return "", fmt.Errorf("a name grew beyond %d bytes", maxName)
	}
	return s, nil
}

// compileTemplate compiles a template of text, fields, functions and if. Loops,
// definitions and printf are refused: a mapping has nothing to repeat.
func compileTemplate(text string, fields []string) (*template.Template, error) {
	if len(text) > maxName {
		return nil, fmt.Errorf("is a template of %d bytes; at most %d are allowed", len(text), maxName)
	}
	t, err := template.New("").Funcs(functions()).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s is not a template: %s", quote(text), templateReason(err))
	}
	if len(t.Templates()) > 1 {
		return nil, fmt.Errorf("%s is not a template for names: define and block are not allowed", quote(text))
	}
	if t.Tree == nil || t.Root == nil {
		return t, nil
	}
	if err := checkNodes(t.Root, fields); err != nil {
		return nil, fmt.Errorf("%s is not a template for names: %w", quote(text), err)
	}
	return t, nil
}

// templateReason drops what text/template says about its own whereabouts.
func templateReason(err error) string {
	reason := regexp.MustCompile(`^template: :\d+:(\d+:)? ?`).ReplaceAllString(err.Error(), "")
	if i := strings.LastIndex(reason, ">: "); i >= 0 {
		reason = reason[i+3:]
	}
	if name, ok := strings.CutPrefix(reason, `function "`); ok {
		name, _, _ = strings.Cut(name, `"`)
		reason = fmt.Sprintf("no function %q%s", name, suggest(name, functionNames()))
	}
	return reason
}

func functionNames() []string {
	names := []string{"eq", "ne", "and", "or", "not"}
	for name := range functions() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// checkNodes walks a template and refuses what is not for names.
func checkNodes(n parse.Node, fields []string) error {
	switch n := n.(type) {
	case *parse.TextNode, *parse.CommentNode, *parse.StringNode, *parse.BoolNode, *parse.NumberNode:
		return nil
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		return checkEach(n.Nodes, fields)
	case *parse.ActionNode:
		return checkNodes(n.Pipe, fields)
	case *parse.IfNode:
		return checkEach([]parse.Node{n.Pipe, n.List, n.ElseList}, fields)
	case *parse.PipeNode:
		if len(n.Decl) > 0 {
			return errors.New("variables are not allowed")
		}
		for _, c := range n.Cmds {
			if err := checkCommand(c, fields); err != nil {
				return err
			}
		}
		return nil
	case *parse.FieldNode:
		return checkField(n, fields)
	case *parse.IdentifierNode:
		if !slices.Contains(functionNames(), n.Ident) {
			return fmt.Errorf("function %q is not allowed%s", n.Ident, suggest(n.Ident, functionNames()))
		}
		return nil
	}
	return fmt.Errorf("%s is not allowed", quote(n.String()))
}

func checkEach(nodes []parse.Node, fields []string) error {
	for _, n := range nodes {
		if err := checkNodes(n, fields); err != nil {
			return err
		}
	}
	return nil
}

func checkField(n *parse.FieldNode, fields []string) error {
	if len(n.Ident) == 1 && slices.Contains(fields, n.Ident[0]) {
		return nil
	}
	hint := "; expected ." + strings.Join(fields, ", .")
	if near := nearest(n.Ident[0], fields); near != "" {
		hint = fmt.Sprintf("; did you mean .%s?", near)
	}
	return fmt.Errorf("nothing is called %s here%s", n, hint)
}

// checkCommand also compiles a regexReplace's pattern, which is seldom reached
// by an example.
func checkCommand(c *parse.CommandNode, fields []string) error {
	if err := checkEach(c.Args, fields); err != nil {
		return err
	}
	name, ok := c.Args[0].(*parse.IdentifierNode)
	if !ok || name.Ident != "regexReplace" || len(c.Args) < 2 {
		return nil
	}
	if pattern, ok := c.Args[1].(*parse.StringNode); ok {
		_, err := regexReplace(pattern.Text, "", "")
		return err
	}
	return nil
}

// fill carries out t for p.
func fill(t *template.Template, p place) (string, error) {
	var b strings.Builder
	if err := t.Execute(&limited{&b}, p); err != nil {
		return "", errors.New(templateReason(err))
	}
	return b.String(), nil
}

// limited is a writer that takes [maxName] bytes.
type limited struct{ b *strings.Builder }

func (l *limited) Write(p []byte) (int, error) {
	if l.b.Len()+len(p) > maxName {
		return 0, fmt.Errorf("the name grew beyond %d bytes", maxName)
	}
	return l.b.Write(p)
}
