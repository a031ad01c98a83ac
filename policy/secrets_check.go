package policy

import (
	"fmt"
	"os"
)

// CheckSecrets looks at what the registries point to on this machine: variables,
// secret files, certificates, docker configurations. It returns what is missing
// or unreadable as [Problems], with positions; it asks no registry, and no value
// is in a message.
func (s *Set) CheckSecrets() error {
	var ps Problems
	for _, name := range s.Names() {
		r, path := s.Registries[name], join("registries", name)
		for key, secret := range r.Secrets() {
			if _, err := secret.Resolve(); err != nil {
				ps.add(join(path, key), "%v", err)
			}
		}
		for key, file := range r.Files() {
			if err := readable(file); err != nil {
				ps.add(join(path, key), "%v", err)
			}
		}
		if err := readable(zeroOf(r.Auth.Federated).TokenFile); err != nil {
			ps.add(join(path, "auth.federated.tokenFile"), "%v", err)
		}
	}
	return s.placed(ps).Err()
}

// readable reports why a file cannot be read; "" is no file, which is fine.
func readable(file string) error {
	if file == "" {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return fmt.Errorf("%s is a folder; expected a file", file)
	}
	return nil
}

// Warnings returns what is allowed and probably not meant, with positions.
func (s *Set) Warnings() Problems {
	var ps Problems
	for _, name := range s.Names() {
		s.Registries[name].warn(join("registries", name), &ps)
	}
	used := map[string]bool{}
	for i, r := range s.Rules {
		used[r.From.Registry] = true
		for _, t := range r.To {
			used[t.Registry] = true
		}
		r.warn(fmt.Sprintf("rules[%d]", i), &ps)
	}
	for _, name := range s.Names() {
		if !used[name] && len(s.Rules) > 0 {
			ps.add(join("registries", name), "no rule uses this registry")
		}
	}
	if len(s.Rules) == 0 {
		ps.add("", "there are no rules, so nothing is replicated")
	}
	return s.placed(ps)
}

// warn tells of keys that do nothing without a schedule.
func (r Rule) warn(path string, ps *Problems) {
	if r.Schedule != "" {
		return
	}
	if r.MaxLag > 0 {
		ps.add(join(path, "maxLag"), "the rule has a maxLag and no schedule: it runs only when asked")
	}
	if r.Jitter > 0 {
		ps.add(join(path, "jitter"), "the rule has a jitter and no schedule: it runs only when asked")
	}
}

func (r Registry) warn(path string, ps *Problems) {
	for key, secret := range r.Secrets() {
		if key == "proxy" || key == "auth.username" {
			continue // they may be no secret at all
		}
		if secret.Literal() {
			ps.add(join(path, key), "a secret stands in the policy itself; write ${VARIABLE} or file:/path instead")
		}
		if r.PlainHTTP && !secret.IsZero() {
			ps.add(join(path, key), "the credential goes over plain http, readable by everyone on the way")
		}
	}
}
