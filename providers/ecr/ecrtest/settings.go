package ecrtest

import (
	"strings"
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
