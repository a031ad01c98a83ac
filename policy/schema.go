package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"
)

// SchemaID is the schema's name, not an address to fetch it from.
const SchemaID = "https://github.com/transship/transship/policy"

// Schema returns the JSON schema (draft 2020-12) of the policy file, indented,
// made from the same types and comments as everything else. It knows each key
// and the shape of each value; what needs a parser of its own (patterns,
// templates, names that refer to each other) only [Parse] checks.
func Schema() ([]byte, error) {
	words, err := readComments()
	if err != nil {
		return nil, err
	}
	r := jsonschema.Reflector{
		Anonymous: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true,
		Mapper:        shape,
		LookupComment: func(t reflect.Type, field string) string { return words.of(t, field) },
	}
	s := r.Reflect(Set{})
	s.ID, s.Title = SchemaID, "transship policy"
	notations(s, reflect.TypeFor[Set]())
	for name, def := range s.Definitions {
		if t, ok := structs()[name]; ok {
			notations(def, t)
		}
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("print the schema: %w", err)
	}
	return append(text, '\n'), nil
}

// structs are the mappings of a policy by the names of their types, found from
// [Set] on.
func structs() map[string]reflect.Type {
	found := map[string]reflect.Type{}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		switch {
		case shape(t) != nil || found[t.Name()] != nil:
		case t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map:
			walk(t.Elem())
		case t.Kind() == reflect.Struct:
			found[t.Name()] = t
			for i := range t.NumField() {
				if f := t.Field(i); keyOf(f) != "" {
					walk(f.Type)
				}
			}
		}
	}
	walk(reflect.TypeFor[Set]())
	return found
}

// shape is the schema of a type that is written as a scalar of its own notation;
// nil for all others.
func shape(t reflect.Type) *jsonschema.Schema {
	if c, ok := reflect.Zero(t).Interface().(choice); ok {
		s := &jsonschema.Schema{Type: "string"}
		for _, v := range c.Values() {
			s.Enum = append(s.Enum, v)
		}
		return s
	}
	switch t {
	case reflect.TypeFor[Secret]():
		return &jsonschema.Schema{Type: "string"}
	case reflect.TypeFor[Duration]():
		return text(`^(\d+(\.\d+)?(w|d|h|m|s|ms|us|ns))+$`, "90s", "1h30m", "7d")
	case reflect.TypeFor[Size]():
		return text(`^\d+(\.\d+)?([kKMGT]?B|[KMGT]iB)$`, "512MiB")
	case reflect.TypeFor[ByteRate]():
		return text(`^\d+(\.\d+)?([kKMGT]?B|[KMGT]iB)/s$`, "200MB/s")
	case reflect.TypeFor[Percent]():
		return text(`^(100|\d{1,2})(\.\d+)?%$`, "10%")
	case reflect.TypeFor[Rate]():
		return text(`^[1-9]\d*/\d*[a-z]+$`, "40/s", "100/6h")
	case reflect.TypeFor[Platform]():
		return text(`^[a-z0-9]+/[a-z0-9]+(/[a-zA-Z0-9.]+)?(:[0-9A-Za-z.]+)?$`, "linux/arm64", "linux/arm/v7")
	case reflect.TypeFor[DockerConfig]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string"}, {Const: true}}}
	}
	return nil
}

func text(pattern string, examples ...any) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: pattern, Examples: examples}
}

// notations adds what the policy tags of t's fields say to its schema s.
func notations(s *jsonschema.Schema, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		property, ok := s.Properties.Get(keyOf(f))
		if !ok {
			continue
		}
		target := property
		if f.Type.Kind() == reflect.Slice && target.Items != nil {
			target = target.Items
		}
		switch f.Tag.Get("policy") {
		case "glob", "typeGlob", "repository", "regexp":
			one := uint64(1)
			target.MinLength = &one
		case "digest":
			target.Pattern = `^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`
		case "provider":
			target.Enum = anys(Providers())
		case "url":
			target.Pattern = `^https?://`
		case "awsRegion":
			target.Pattern = region.String()
		case "poolProvider":
			target.Pattern = poolProvider.String()
		case "roleARN":
			target.Pattern = `^arn:aws[a-z-]*:iam::[0-9]{12}:role/`
		}
		if keyOf(f) == "capabilities" {
			property.PropertyNames = &jsonschema.Schema{Enum: anys(Abilities())}
			property.AdditionalProperties = &jsonschema.Schema{Enum: []any{"yes", "no", true, false}}
		}
	}
}

func anys(values []string) []any {
	all := make([]any, len(values))
	for i, v := range values {
		all[i] = v
	}
	return all
}

// kind names the type of a field in the reference.
func kind(f reflect.StructField) string {
	t, list := f.Type, ""
	if t.Kind() == reflect.Slice {
		t, list = t.Elem(), "list of "
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return list + kindOf(t, f.Tag.Get("policy"))
}

func kindOf(t reflect.Type, notation string) string {
	if c, ok := reflect.Zero(t).Interface().(choice); ok {
		return strings.Join(c.Values(), " \\| ")
	}
	switch t {
	case reflect.TypeFor[DockerConfig]():
		return "true or path"
	case reflect.TypeFor[ByteRate]():
		return "bytes a second"
	case reflect.TypeFor[Secret](), reflect.TypeFor[Duration](), reflect.TypeFor[Size](),
		reflect.TypeFor[Rate](), reflect.TypeFor[Platform](), reflect.TypeFor[Percent]():
		return strings.ToLower(t.Name())
	}
	switch t.Kind() {
	case reflect.String:
		return notationName(notation)
	case reflect.Struct:
		return "[" + t.Name() + "](#" + strings.ToLower(t.Name()) + ")"
	case reflect.Map:
		return "name: " + kindOf(t.Elem(), "")
	}
	return strings.TrimPrefix(expected(t), "a ")
}

func notationName(notation string) string {
	switch notation {
	case "":
		return "text"
	case "typeGlob", "repository":
		return "glob"
	case "provider":
		return strings.Join(Providers(), " \\| ")
	case "semver":
		return "version range"
	case "cron":
		return "cron line"
	case "url":
		return "URL"
	case "awsRegion":
		return "region"
	case "roleARN":
		return "ARN"
	case "sessionName":
		return "text"
	case "serviceAccount":
		return "address"
	case "poolProvider":
		return "resource name"
	case "repositoryTemplate", "tagTemplate":
		return "template"
	}
	return notation
}
