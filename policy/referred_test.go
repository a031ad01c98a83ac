package policy

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// named fills v with values that say by which key they are reached, and returns the
// keys of secrets.
func named(v reflect.Value, key string) (secrets []string) {
	if _, ok := v.Interface().(Secret); ok {
		v.Set(reflect.ValueOf(NewSecret(key)))
		return []string{key}
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(key)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return named(v.Elem(), key)
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if v.Type().Field(i).IsExported() {
				secrets = append(secrets, named(v.Field(i), join(key, name))...)
			}
		}
	}
	return secrets
}

// TestSecretsAndFiles holds that a registry tells all its secrets, and what it tells by
// the keys under which it is.
func TestSecretsAndFiles(t *testing.T) {
	var r Registry
	want := named(reflect.ValueOf(&r).Elem(), "")
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(maps.Collect(r.Secrets()))); !slices.Equal(got, want) {
		t.Errorf("secrets %v, want %v", got, want)
	}
	for key, secret := range r.Secrets() {
		if secret.Reveal() != key {
			t.Errorf("%s is that of %s", key, secret.Reveal())
		}
	}
	for key, file := range r.Files() {
		if file != key {
			t.Errorf("%s is that of %s", key, file)
		}
	}
	for key, file := range (Registry{Auth: Auth{DockerConfig: DefaultDockerConfig}}).Files() {
		if file != "" {
			t.Errorf("%s is %s, want none", key, file)
		}
	}
}
