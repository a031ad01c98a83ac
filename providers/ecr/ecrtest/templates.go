package ecrtest

import (
	"slices"
	"strings"
	"time"
)

// A template is how repositories are made on demand, by prefix.
type template struct {
	Prefix     string      `json:"prefix"`
	AppliedFor []string    `json:"appliedFor"`
	Mutability string      `json:"imageTagMutability"`
	Exclusions []exclusion `json:"imageTagMutabilityExclusionFilters,omitempty"`
	Encryption *encryption `json:"encryptionConfiguration,omitempty"`
	Lifecycle  string      `json:"lifecyclePolicy,omitempty"`
	Policy     string      `json:"repositoryPolicy,omitempty"`
	Created    seconds     `json:"createdAt"`
}

func (c *call) createTemplate() (any, *fail) {
	var in struct {
		Prefix                            string
		AppliedFor                        []string
		LifecyclePolicy, RepositoryPolicy string
		settingsInput
	}
	if f := c.read(&in); f != nil {
		return nil, f
	}
	if f := in.check(); f != nil {
		return nil, f
	}
	var r repository
	in.apply(&r)
	t := template{Prefix: in.Prefix, AppliedFor: in.AppliedFor, Mutability: r.mutability, Exclusions: r.exclusions,
		Lifecycle: in.LifecyclePolicy, Policy: in.RepositoryPolicy, Created: seconds(time.Now())}
	if r.encryption.Type != "" {
		t.Encryption = &r.encryption
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if _, ok := c.s.templates[in.Prefix]; ok {
		return nil, failf("TemplateAlreadyExistsException", "The repository creation template with prefix '%s' already exists", in.Prefix)
	}
	c.s.templates[in.Prefix] = t
	return map[string]any{"registryId": c.s.account, "repositoryCreationTemplate": t}, nil
}

func (c *call) describeTemplates() (any, *fail) {
	var in struct{ Prefixes []string }
	if f := c.read(&in); f != nil {
		return nil, f
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	list := []template{}
	for prefix, t := range c.s.templates {
		if len(in.Prefixes) == 0 || slices.Contains(in.Prefixes, prefix) {
			list = append(list, t)
		}
	}
	return map[string]any{"registryId": c.s.account, "repositoryCreationTemplates": list}, nil
}

// Template makes repositories whose name begins with prefix (or "ROOT", for all)
// on demand, with these settings.
func (s *Server) Template(prefix string, c Settings) {
	t := template{Prefix: prefix, AppliedFor: []string{"CREATE_ON_PUSH"}, Mutability: c.Mutability, Lifecycle: c.LifecyclePolicy, Policy: c.Policy}
	if t.Mutability == "" {
		t.Mutability = "MUTABLE"
	}
	for _, f := range c.Exclusions {
		t.Exclusions = append(t.Exclusions, exclusion{"WILDCARD", f})
	}
	if c.KMSKey != "" {
		t.Encryption = &encryption{"KMS", c.KMSKey}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.templates[prefix] = t
}

// byTemplate makes a repository by the template whose prefix is the longest that
// fits, and reports whether there is one.
func (s *Server) byTemplate(name string) bool {
	s.mu.Lock()
	var best *template
	for _, t := range s.templates {
		fits := t.Prefix == "ROOT" || name == t.Prefix || strings.HasPrefix(name, strings.TrimSuffix(t.Prefix, "/")+"/")
		if fits && slices.Contains(t.AppliedFor, "CREATE_ON_PUSH") &&
			(best == nil || best.Prefix == "ROOT" || t.Prefix != "ROOT" && len(t.Prefix) > len(best.Prefix)) {
			best = &t
		}
	}
	if best == nil {
		s.mu.Unlock()
		return false
	}
	if _, there := s.repos[name]; !there {
		r := s.repo(name)
		r.mutability, r.exclusions, r.lifecycle, r.policy = best.Mutability, best.Exclusions, best.Lifecycle, best.Policy
		if best.Encryption != nil {
			r.encryption = *best.Encryption
		}
	}
	s.mu.Unlock()
	s.Create(name)
	return true
}
