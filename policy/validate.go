package policy

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// Check returns every problem of the set as [Problems], in order; nil if there
// is none. A set that [Parse] or [Load] returned has none.
func (s *Set) Check() error { return s.placed(s.validate()).Err() }

// placed gives problems, which have paths within the whole set, their positions.
func (s *Set) placed(ps Problems) Problems {
	for i, p := range ps {
		ps[i] = s.at.place(p)
	}
	ps.sort()
	return ps
}

// checkNames checks the names of registries as people write them; those of a
// set made by a program may be anything.
func (s *Set) checkNames() (ps Problems) {
	for _, name := range s.Names() {
		if err := checkName(name); err != nil {
			ps.add(join("registries", name), "%v", err)
		}
	}
	return ps
}

// validate reports paths within the whole set, in the order of the checks.
func (s *Set) validate() Problems {
	var ps Problems
	checkValues(reflect.ValueOf(*s), "", "", &ps)
	for _, name := range s.Names() {
		s.Registries[name].validate(name, &ps)
	}
	s.Limits.validate(s, &ps)
	named := map[string]string{}
	for i, r := range s.Rules {
		path := fmt.Sprintf("rules[%d]", i)
		if first, twice := named[r.Name]; twice && r.Name != "" {
			ps.add(join(path, "name"), "rule %q is already defined at %s; give one of them another name", r.Name, s.at.where(first))
		} else {
			named[r.Name] = join(path, "name")
		}
		r.validate(s, path, &ps)
		if len(ps) > maxProblems {
			break
		}
	}
	return ps
}

// where names a place for people: its position, or else its path.
func (at positions) where(path string) string {
	if pos, ok := at[path]; ok {
		return fmt.Sprintf("%s:%d:%d", pos.file, pos.line, pos.column)
	}
	return path
}

// checkValues walks v and checks each string that has a notation of its own, by
// the `policy` tag of its field, and each value with few choices.
func checkValues(v reflect.Value, path, notation string, ps *Problems) {
	if c, ok := v.Interface().(choice); ok {
		checkChoice(v.String(), c.Values(), path, ps)
		return
	}
	if secret, ok := v.Interface().(Secret); ok {
		if err := secret.check(); err != nil {
			ps.add(path, "%v", err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			checkValues(v.Elem(), path, notation, ps)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); keyOf(f) != "" {
				checkValues(v.Field(i), join(path, keyOf(f)), f.Tag.Get("policy"), ps)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			checkItem(v.Index(i), fmt.Sprintf("%s[%d]", path, i), notation, ps)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			checkValues(v.MapIndex(key), join(path, key.String()), notation, ps)
		}
	case reflect.String:
		if v.Len() > 0 {
			checkItem(v, path, notation, ps)
		}
	}
}

// checkItem checks a string by its notation, and looks into everything else.
func checkItem(v reflect.Value, path, notation string, ps *Problems) {
	if v.Kind() != reflect.String {
		checkValues(v, path, notation, ps)
		return
	}
	if err := checkNotation(notation, v.String()); err != nil {
		ps.add(path, "%v", err)
	}
}

func checkChoice(value string, values []string, path string, ps *Problems) {
	if value != "" && !slices.Contains(values, value) {
		ps.add(path, "%s is not allowed here; expected %s%s", quote(value), oneOf(values), suggest(value, values))
	}
}

// checkNotation checks text by the small language that a field's tag names.
func checkNotation(notation, text string) (err error) {
	switch notation {
	case "glob":
		_, err = compileGlob(text)
	case "typeGlob":
		err = checkTypeGlob(text)
	case "repository":
		err = checkRepositoryGlob(text)
	case "regexp":
		_, err = compileRegexp(text)
	case "semver":
		_, err = compileSemver(text)
	case "cron":
		_, err = parseSchedule(text)
	case "window":
		_, err = parseWindow(text)
	case "digest":
		err = checkDigest(text)
	case "provider":
		err = checkProvider(text)
	case "host":
		err = checkHost(text)
	case "url":
		err = checkURL(text, "https", "http")
	case "awsRegion", "roleARN", "sessionName", "serviceAccount", "poolProvider":
		err = checkCloudNotation(notation, text)
	case "repositoryTemplate":
		err = checkTemplate(text, repositoryFields(), checkRepository)
	case "tagTemplate":
		err = checkTemplate(text, tagFields(), checkTag)
	}
	return err
}

// checkTypeGlob accepts globs whose only special characters are * and ?.
func checkTypeGlob(text string) error {
	if text == "" || len(text) > maxPattern || strings.ContainsAny(text, `{}[]\ `) || strings.Contains(text, "**") {
		return fmt.Errorf("%s is not a type; expected one such as application/vnd.cncf.helm.config.v1+json, in which * and ? may stand for anything but a slash", quote(text))
	}
	return nil
}

// checkRepositoryGlob adds to what every glob keeps what no repository begins or
// ends with.
func checkRepositoryGlob(text string) error {
	if _, err := compileGlob(text); err != nil {
		return err
	}
	if strings.HasPrefix(text, "/") || strings.HasSuffix(text, "/") {
		return fmt.Errorf("%s matches no repository; leave out the slash at its start or end", quote(text))
	}
	host, _, slash := strings.Cut(text, "/")
	if slash && (strings.Contains(host, ":") || strings.HasPrefix(text, "http:") || strings.HasPrefix(text, "https:")) {
		return fmt.Errorf("%s has a host; expected the repository only, as the registry names it", quote(text))
	}
	if strings.ContainsAny(text, "@:") {
		return fmt.Errorf("%s has a tag or digest; expected a repository: tags have filters of their own", quote(text))
	}
	return nil
}

// checkTemplate compiles a template, and checks the result of one that is constant.
func checkTemplate(text string, fields []string, check func(string) error) error {
	t, err := compileTemplate(text, fields)
	if err != nil || strings.Contains(text, "{{") {
		return err
	}
	name, err := fill(t, place{})
	if err != nil {
		return err
	}
	return check(name)
}

// checkURL accepts absolute URLs of the given schemes with a host and no user.
func checkURL(text string, schemes ...string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) || u.Hostname() == "" {
		return fmt.Errorf("is not a URL; expected one that begins with %s://", strings.Join(schemes, ":// or "))
	}
	return nil
}
