package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestSchemaAgrees holds the schema against the parser: it accepts what the
// parser accepts, and knows the same keys.
func TestSchemaAgrees(t *testing.T) {
	s := schemaOf(t)
	texts := map[string]string{"the design's example": design}
	for _, kind := range Examples() {
		texts[kind] = example(t, kind)
	}
	for _, file := range []string{"testdata/good/a.yaml", "testdata/good/b.yml", "testdata/every-key.yaml"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(data)
	}
	for name, text := range texts {
		if name != "testdata/good/b.yml" { // its registries are in a.yaml
			mustParse(t, text)
		}
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		for _, p := range s.check(v, s.root, "") {
			t.Errorf("%s: %s", name, p)
		}
	}
	for name, typ := range structs() {
		properties := s.root["properties"]
		if name != "Set" {
			properties = s.defs[name].(map[string]any)["properties"]
		}
		inSchema := slices.Sorted(maps.Keys(properties.(map[string]any)))
		inParser := slices.Sorted(maps.Keys(keysOf(typ)))
		if !slices.Equal(inSchema, inParser) {
			t.Errorf("%s: the schema knows %v\nthe parser knows %v", name, inSchema, inParser)
		}
	}
}

// TestEveryKey makes sure that a test file uses every key, so that each is read.
func TestEveryKey(t *testing.T) {
	data, err := os.ReadFile("testdata/every-key.yaml")
	if err != nil {
		t.Fatal(err)
	}
	set := mustParse(t, string(data))
	used := map[string]bool{}
	for path := range set.at {
		used[path[strings.LastIndex(path, ".")+1:]] = true
	}
	for _, key := range keysBelow(t) {
		if !used[key] && !used[key+"[0]"] {
			t.Errorf("testdata/every-key.yaml lacks %s", key)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	s := schemaOf(t)
	for _, text := range []string{
		"rule: []", "rules: [{}]", "rules: [{name: a, from: {registry: a}, to: []}]", "registries: {a: {hots: b}}",
		"registries: {a: {provider: docker}}", "registries: {a: {auth: {aws: {region: Ireland}}}}", "registries: {a: {capabilities: {mounts: yes}}}", "registries: {a: {capabilities: {mount: maybe}}}",
		"registries: {a: {limits: {requests: 40}}}", "registries: {a: {limits: {bytes: 200mb/s}}}", "registries: {a: {egressPrice: -1}}",
		"rules: [{name: a, from: {registry: a}, to: [{registry: b, onConflict: overwite}]}]",
		"rules: [{name: a, from: {registry: a}, to: [{registry: b}], verifyEvery: 5}]",
		"rules: [{name: a, from: {registry: a}, to: [{registry: b}], prune: {}}]",
		"rules: [{name: a, from: {registry: a}, to: [{registry: b}], tags: {newest: {count: 0, by: semver}}}]",
	} {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if len(s.check(v, s.root, "")) == 0 {
			t.Errorf("the schema takes %s", text)
		}
		if _, err := Parse("", []byte(text)); err == nil {
			t.Errorf("the parser takes %s", text)
		}
	}
}

func TestSchemaHasWords(t *testing.T) {
	s := schemaOf(t)
	for name, typ := range structs() {
		if name == "Set" {
			continue
		}
		properties := s.defs[name].(map[string]any)["properties"].(map[string]any)
		for key := range keysOf(typ) {
			if words, _ := properties[key].(map[string]any)["description"].(string); words == "" {
				t.Errorf("%s.%s has no description", name, key)
			}
		}
	}
}

func TestExamples(t *testing.T) {
	for _, kind := range Examples() {
		set := mustParse(t, example(t, kind))
		if w := set.Warnings(); len(w) > 0 {
			t.Errorf("example %s:\n%v", kind, w)
		}
	}
	if _, err := Example("migratoin"); err == nil || !strings.Contains(err.Error(), `did you mean "migration"?`) {
		t.Errorf("an unknown example: %v", err)
	}
}

func example(t *testing.T, kind string) string {
	t.Helper()
	text, err := Example(kind)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A schema is JSON schema as far as ours goes.
type schema struct{ root, defs map[string]any }

func schemaOf(t *testing.T) schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	return schema{root, root["$defs"].(map[string]any)}
}

// check returns what is wrong with v by s. It fails on keywords it does not know.
func (s schema) check(v any, by map[string]any, path string) (wrong []string) {
	bad := func(format string, args ...any) { wrong = append(wrong, path+": "+fmt.Sprintf(format, args...)) }
	for keyword, want := range by {
		switch keyword {
		case "$schema", "$id", "$defs", "title", "description", "examples", "required":
		case "$ref":
			wrong = append(wrong, s.check(v, s.defs[strings.TrimPrefix(want.(string), "#/$defs/")].(map[string]any), path)...)
		case "type":
			if !isType(v, want.(string)) {
				bad("%T is no %s", v, want)
			}
		case "enum":
			if !slices.Contains(want.([]any), v) {
				bad("%v is not in %v", v, want)
			}
		case "const":
			if v != want {
				bad("%v is not %v", v, want)
			}
		case "pattern":
			if text, ok := v.(string); ok && !regexp.MustCompile(want.(string)).MatchString(text) {
				bad("%q does not match %s", text, want)
			}
		case "oneOf":
			taken := 0
			for _, one := range want.([]any) {
				if len(s.check(v, one.(map[string]any), path)) == 0 {
					taken++
				}
			}
			if taken != 1 {
				bad("%d of oneOf match", taken)
			}
		case "minimum", "maximum":
			if n := number(v); (keyword == "minimum" && n < want.(float64)) || (keyword == "maximum" && n > want.(float64)) {
				bad("%v is beyond %s %v", v, keyword, want)
			}
		case "minLength", "minItems":
			if float64(reflect.ValueOf(v).Len()) < want.(float64) {
				bad("%v is too short", v)
			}
		case "items":
			for i, item := range v.([]any) {
				wrong = append(wrong, s.check(item, want.(map[string]any), fmt.Sprintf("%s[%d]", path, i))...)
			}
		case "properties", "additionalProperties", "propertyNames":
		default:
			bad("unknown keyword %s", keyword)
		}
	}
	if m, ok := v.(map[string]any); ok {
		wrong = append(wrong, s.checkKeys(m, by, path)...)
	}
	return wrong
}

func (s schema) checkKeys(m, by map[string]any, path string) (wrong []string) {
	properties, _ := by["properties"].(map[string]any)
	for _, name := range asList(by["required"]) {
		if _, ok := m[name.(string)]; !ok {
			wrong = append(wrong, path+": lacks "+name.(string))
		}
	}
	for key, v := range m {
		if names, ok := by["propertyNames"].(map[string]any); ok {
			wrong = append(wrong, s.check(key, names, path)...)
		}
		switch rest := by["additionalProperties"].(type) {
		case map[string]any:
			if properties[key] == nil {
				wrong = append(wrong, s.check(v, rest, path+"."+key)...)
			}
		case bool:
			if properties[key] == nil && !rest {
				wrong = append(wrong, path+": unknown key "+key)
			}
		}
		if property, ok := properties[key].(map[string]any); ok {
			wrong = append(wrong, s.check(v, property, path+"."+key)...)
		}
	}
	return wrong
}

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

func number(v any) float64 {
	switch n := v.(type) {
	case int:
		return float64(n)
	case float64:
		return n
	}
	return 0
}

func isType(v any, want string) bool {
	switch v.(type) {
	case string:
		return want == "string"
	case bool:
		return want == "boolean"
	case int:
		return want == "integer" || want == "number"
	case float64:
		return want == "number"
	case []any:
		return want == "array"
	case map[string]any:
		return want == "object"
	}
	return false
}
