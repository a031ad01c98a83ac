package ecrtest

import (
	"slices"
	"strings"
	"time"
)

// change reads the call's input, and changes the repository that it names.
func (c *call) change(in any, repo func() (registry, name string), do func(*repository) *fail) *fail {
	if f := c.read(in); f != nil {
		return f
	}
	registry, name := repo()
	if f := c.named(registry, name); f != nil {
		return f
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return do(c.s.repo(name))
}

// repoInput names a repository.
type repoInput struct {
	RegistryID     string `json:"registryId"`
	RepositoryName string
}

func (in *repoInput) repo() (string, string) { return in.RegistryID, in.RepositoryName }

func (c *call) putImageTagMutability() (any, *fail) {
	var in struct {
		repoInput
		settingsInput
	}
	return struct{}{}, c.change(&in, in.repo, func(r *repository) *fail {
		if f := in.check(); f != nil {
			return f
		}
		scan, enc := r.scan, r.encryption
		in.apply(r)
		r.scan, r.encryption = scan, enc
		return nil
	})
}

func (c *call) putImageScanning() (any, *fail) {
	var in struct {
		repoInput
		ImageScanningConfiguration struct{ ScanOnPush bool }
	}
	return struct{}{}, c.change(&in, in.repo, func(r *repository) *fail {
		r.scan = in.ImageScanningConfiguration.ScanOnPush
		return nil
	})
}

func (c *call) putLifecyclePolicy() (any, *fail) {
	var in struct {
		repoInput
		LifecyclePolicyText string
	}
	return struct{}{}, c.change(&in, in.repo, func(r *repository) *fail {
		if !strings.Contains(in.LifecyclePolicyText, `"rules"`) {
			return failf("InvalidParameterException", "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure'")
		}
		r.lifecycle = in.LifecyclePolicyText
		return nil
	})
}

func (c *call) getLifecyclePolicy() (any, *fail) {
	var in repoInput
	out := map[string]string{}
	return out, c.change(&in, in.repo, func(r *repository) *fail {
		if out["lifecyclePolicyText"] = r.lifecycle; r.lifecycle == "" {
			return failf("LifecyclePolicyNotFoundException", "Lifecycle policy does not exist for the repository with name '%s'", in.RepositoryName)
		}
		return nil
	})
}

func (c *call) setRepositoryPolicy() (any, *fail) {
	var in struct {
		repoInput
		PolicyText string
	}
	return struct{}{}, c.change(&in, in.repo, func(r *repository) *fail {
		if !strings.Contains(in.PolicyText, `"Statement"`) {
			return failf("InvalidParameterException", "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'")
		}
		r.policy = in.PolicyText
		return nil
	})
}

func (c *call) getRepositoryPolicy() (any, *fail) {
	var in repoInput
	out := map[string]string{}
	return out, c.change(&in, in.repo, func(r *repository) *fail {
		if out["policyText"] = r.policy; r.policy == "" {
			return failf("RepositoryPolicyNotFoundException", "Repository policy does not exist for the repository with name '%s'", in.RepositoryName)
		}
		return nil
	})
}

// arnInput names a repository by its ARN.
type arnInput struct{ ResourceArn string }

func (in *arnInput) repo() (string, string) {
	_, name, _ := strings.Cut(in.ResourceArn, ":repository/")
	return "", name
}

func (c *call) tagResource() (any, *fail) {
	var in struct {
		arnInput
		Tags []resourceTag
	}
	return struct{}{}, c.change(&in, in.repo, func(r *repository) *fail {
		for _, t := range in.Tags {
			r.tags[t.Key] = t.Value
		}
		return nil
	})
}

func (c *call) listTagsForResource() (any, *fail) {
	var in arnInput
	tags := []map[string]string{}
	f := c.change(&in, in.repo, func(r *repository) *fail {
		for k, v := range r.tags {
			tags = append(tags, map[string]string{"Key": k, "Value": v})
		}
		return nil
	})
	return map[string]any{"tags": tags}, f
}

const blobMounting = "BLOB_MOUNTING"

// EnableMounting turns the account setting BLOB_MOUNTING on.
func (s *Server) EnableMounting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings[blobMounting] = "ENABLED"
}

func (c *call) getAccountSetting() (any, *fail) {
	var in struct{ Name string }
	if f := c.read(&in); f != nil {
		return nil, f
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	value, ok := c.s.settings[in.Name]
	if !ok {
		return nil, failf("ValidationException", "no account setting %s", in.Name)
	}
	if c.who.who.account != c.s.account {
		value = "DISABLED" // it is the caller's own account that is asked
	}
	return map[string]string{"name": in.Name, "value": value}, nil
}

func (c *call) putAccountSetting() (any, *fail) {
	var in struct{ Name, Value string }
	if f := c.read(&in); f != nil {
		return nil, f
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if _, ok := c.s.settings[in.Name]; !ok || in.Value != "ENABLED" && in.Value != "DISABLED" {
		return nil, failf("ValidationException", "no account setting %s=%s", in.Name, in.Value)
	}
	c.s.settings[in.Name] = in.Value
	return map[string]string{"name": in.Name, "value": in.Value}, nil
}

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
