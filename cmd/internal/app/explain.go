package app

import (
	"slices"
	"strings"
	"time"

	"github.com/transship/transship/policy"
)

// explain prints what every rule does with one reference of a source.
func (p *program) explain(set *policy.Set, ref string) error {
	q, err := question(set, ref)
	if err != nil {
		return err
	}
	verdicts := set.Explain(q)
	if p.json() {
		return p.writeJSON(verdicts)
	}
	for _, e := range verdicts {
		p.printf("%s\n", e)
	}
	if !slices.ContainsFunc(verdicts, func(e policy.Explanation) bool { return e.Taken }) {
		p.printf("no rule takes %s\n", ref)
	}
	return nil
}

// question reads REGISTRY/REPOSITORY[:TAG], where the registry is a name of the
// policy or a host.
func question(set *policy.Set, ref string) (policy.Question, error) {
	q := policy.Question{Now: time.Now()}
	name, ok := longestRegistry(set, ref)
	if !ok {
		return q, usage("one of the policy's registries: "+strings.Join(set.Names(), ", "),
			"--explain %s: it starts with no registry of the policy", ref)
	}
	q.Registry = name
	q.Repository = strings.TrimPrefix(ref, name+"/")
	if i := strings.LastIndexByte(q.Repository, ':'); i >= 0 {
		q.Repository, q.Tag = q.Repository[:i], q.Repository[i+1:]
	}
	if q.Repository == "" || strings.ContainsAny(q.Repository, ":@") {
		return q, usage("REGISTRY/REPOSITORY:TAG", "--explain %s: it names no repository, or more than a tag of it", ref)
	}
	return q, nil
}

// longestRegistry finds the registry whose name or endpoint ref starts with.
func longestRegistry(set *policy.Set, ref string) (name string, ok bool) {
	for _, known := range set.Names() {
		for _, start := range []string{known, set.Registries[known].Endpoint()} {
			if strings.HasPrefix(ref, start+"/") && len(start) > len(name) {
				name = start
			}
		}
	}
	return name, name != ""
}

// repositoryOf is the source repository that a job's key is about.
func repositoryOf(key string) string { return strings.TrimPrefix(key, "run/") }
