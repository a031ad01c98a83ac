package policy

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxValues is how many values a file may have once its aliases are written
// out. It bounds memory and time, not the work of honest files.
const maxValues = 100_000

// maxProblems is after how many problems a file is read no further.
const maxProblems = 1000

// A decoder fills a value from YAML nodes and goes on after each mistake. What
// it could not read stays zero and is marked bad, so that validation does not
// complain about it again.
type decoder struct {
	file     string
	at       positions
	bad      map[string]bool
	problems Problems
	values   int
	stopped  bool // by one of the bounds; the rest of the file is not known
}

// decode reads one file. Every problem has its position.
func decode(file string, root *yaml.Node) (Set, *decoder) {
	d := &decoder{file: file, at: positions{}, bad: map[string]bool{}}
	var s Set
	d.value(root, reflect.ValueOf(&s).Elem(), "")
	return s, d
}

func (d *decoder) fail(n *yaml.Node, path, format string, args ...any) {
	if d.stopped {
		return
	}
	if len(d.problems) == maxProblems {
		d.stopped = true
		format, args = "there are more than %d problems; the rest of the file was not read", []any{maxProblems}
	}
	d.bad[path] = true
	d.problems = append(d.problems, Problem{d.file, n.Line, n.Column, path, fmt.Sprintf(format, args...)})
}

func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	if d.values++; d.stopped || d.values > maxValues {
		if !d.stopped {
			d.fail(n, path, "the file has more than %d values once its aliases (*name) are written out; use fewer of them, or several files", maxValues)
			d.stopped = true
		}
		return
	}
	d.at[path] = position{d.file, n.Line, n.Column, path}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if text, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(n, text, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path)
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Map:
		d.table(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

// text reads types with a notation of their own. They see the scalar as it is
// written, whatever type YAML would give it.
func (d *decoder) text(n *yaml.Node, v encoding.TextUnmarshaler, path string) {
	_, secret := v.(*Secret)
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" || secret && !isText(n) {
		d.fail(n, path, "expected text, found %s", found(n))
		return
	}
	if err := v.UnmarshalText([]byte(n.Value)); err != nil {
		d.fail(n, path, "%v", err)
	}
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	var err error
	switch tag := n.ShortTag(); {
	case n.Kind != yaml.ScalarNode:
		err = strconv.ErrSyntax
	case v.Kind() == reflect.String && isText(n):
		v.SetString(n.Value)
		return
	case v.Kind() == reflect.Bool && tag == "!!bool":
		var b bool
		err = n.Decode(&b)
		v.SetBool(b)
	case v.Kind() == reflect.Int && tag == "!!int":
		var i int
		err = n.Decode(&i)
		v.SetInt(int64(i))
	case v.Kind() == reflect.Float64 && (tag == "!!float" || tag == "!!int"):
		var f float64
		err = n.Decode(&f)
		v.SetFloat(f)
	default:
		err = strconv.ErrSyntax
	}
	if err != nil {
		d.fail(n, path, "expected %s, found %s", expected(v.Type()), found(n))
	}
}

// isText reports whether YAML takes n for text. Dates are text to us.
func isText(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!str" || n.ShortTag() == "!!timestamp")
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		hint := ""
		if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
			hint = "; write it in [ ]"
		}
		d.fail(n, path, "expected %s, found %s%s", expected(v.Type()), found(n), hint)
		return
	}
	for i, item := range n.Content {
		if d.stopped {
			return
		}
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

func (d *decoder) table(n *yaml.Node, v reflect.Value, path string) {
	v.Set(reflect.MakeMap(v.Type()))
	for key, item := range d.pairs(n, v.Type(), path) {
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(item, elem, join(path, key.Value))
		v.SetMapIndex(reflect.ValueOf(key.Value), elem)
	}
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string) {
	fields := keysOf(v.Type())
	for key, item := range d.pairs(n, v.Type(), path) {
		i, ok := fields[key.Value]
		if !ok {
			d.unknown(key, fields, path)
			continue
		}
		d.value(item, v.Field(i), join(path, key.Value))
	}
}

// unknown reports a key that its mapping does not have.
func (d *decoder) unknown(key *yaml.Node, fields map[string]int, path string) {
	if later(key.Value) {
		d.fail(key, join(path, key.Value), "%s is not in this version; remove it", key.Value)
		return
	}
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	hint := suggest(key.Value, names)
	if meant := nearest(key.Value, names); meant != "" {
		d.bad[join(path, meant)] = true
	} else {
		hint = "; expected " + oneOf(names)
	}
	d.fail(key, join(path, key.Value), "unknown key %s%s", quote(key.Value), hint)
}

// later reports whether key belongs to what is planned and not yet there.
func later(key string) bool {
	switch key {
	case "prune", "verify", "signatures", "receipts", "receipt", "sign", "drills", "drill":
		return true
	}
	return false
}

// pairs yields the keys and values of a mapping, each key once, and reports what
// is no mapping, no name, or there twice.
func (d *decoder) pairs(n *yaml.Node, t reflect.Type, path string) func(func(k, v *yaml.Node) bool) {
	return func(yield func(k, v *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			d.fail(n, path, "expected %s, found %s", expected(t), found(n))
			return
		}
		seen := map[string]*yaml.Node{}
		for i := 0; i+1 < len(n.Content) && !d.stopped; i += 2 {
			key, item := n.Content[i], n.Content[i+1]
			switch first := seen[key.Value]; {
			case key.ShortTag() == "!!merge":
				d.fail(key, path, "merge keys (<<) are not supported; write the keys out, or use an alias for a whole value")
			case !isText(key):
				d.fail(key, path, "expected a name as key, found %s; put it in quotes", found(key))
			case first != nil:
				d.fail(key, join(path, key.Value), "key %s is there twice, first on line %d", quote(key.Value), first.Line)
			default:
				seen[key.Value] = key
				if !yield(key, item) {
					return
				}
			}
		}
	}
}

// keysOf returns the fields of a struct by their keys.
func keysOf(t reflect.Type) map[string]int {
	keys := map[string]int{}
	for i := range t.NumField() {
		if name := keyOf(t.Field(i)); name != "" {
			keys[name] = i
		}
	}
	return keys
}

// keyOf returns the key of a field, "" if it is not part of the policy.
func keyOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// expected names a type for people.
func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String {
			return "a list of text"
		}
		return "a list"
	}
	return "a mapping (key: value)"
}

// found names what a node is, without its value.
func found(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "true or false (in quotes it is text)"
	case "!!int", "!!float":
		return "a number (in quotes it is text)"
	case "!!str", "!!timestamp":
		return "text"
	}
	return "a value with a YAML tag"
}
