package ecrtest

import (
	"cmp"
	"slices"
	"strings"
)

func (c *call) getAuthorizationToken() (any, *fail) {
	password, until := c.s.iam.registryToken(c.who, c.s.region, c.s.config().TokenLife)
	type data struct {
		Token    []byte  `json:"authorizationToken"` // base64 in JSON
		Expires  seconds `json:"expiresAt"`
		Endpoint string  `json:"proxyEndpoint"`
	}
	return map[string][]data{"authorizationData": {{[]byte("AWS:" + password), seconds(until), c.s.URL()}}}, nil
}

// settingsInput are the settings that repositories and templates share.
type settingsInput struct {
	ImageTagMutability                 string
	ImageTagMutabilityExclusionFilters []struct{ FilterType, Filter string }
	EncryptionConfiguration            *struct{ EncryptionType, KMSKey string }
	ImageScanningConfiguration         struct{ ScanOnPush bool }
}

func (in settingsInput) check() *fail {
	excluding := strings.HasSuffix(in.ImageTagMutability, "_WITH_EXCLUSION")
	known := []string{"", "MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"}
	if !slices.Contains(known, in.ImageTagMutability) || excluding != (len(in.ImageTagMutabilityExclusionFilters) > 0) {
		return failf("InvalidParameterException", "Invalid parameter at 'imageTagMutability' failed to satisfy constraint")
	}
	if in.EncryptionConfiguration != nil && in.EncryptionConfiguration.KMSKey == "missing" {
		return failf("KmsException", "The KMS key 'missing' does not exist")
	}
	return nil
}

func (in settingsInput) apply(r *repository) {
	r.mutability = cmp.Or(in.ImageTagMutability, "MUTABLE")
	r.exclusions = nil
	for _, f := range in.ImageTagMutabilityExclusionFilters {
		r.exclusions = append(r.exclusions, exclusion{f.FilterType, f.Filter})
	}
	if e := in.EncryptionConfiguration; e != nil {
		r.encryption = encryption{e.EncryptionType, e.KMSKey}
	}
	r.scan = in.ImageScanningConfiguration.ScanOnPush
}

func (c *call) createRepository() (any, *fail) {
	var in struct {
		RegistryID     string `json:"registryId"`
		RepositoryName string
		Tags           []resourceTag
		settingsInput
	}
	if f := c.read(&in); f != nil {
		return nil, f
	}
	name, id := in.RepositoryName, c.registry(in.RegistryID)
	switch {
	case len(name) < 2 || len(name) > 256 || !repositoryName.MatchString(name):
		return nil, failf("InvalidParameterException", "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression'")
	case id != c.s.account:
		return nil, failf("InvalidParameterException", "Invalid parameter at 'registryId' failed to satisfy constraint: 'Cross account repository creation is not allowed'")
	case len(in.Tags) > 0 && !c.s.iam.may(c.who.who, "ecr:TagResource"):
		return nil, c.denied("ecr:TagResource")
	case len(c.s.Repositories()) >= c.s.config().Repositories && !c.s.Exists(name):
		return nil, failf("LimitExceededException", "The repository limit of the registry with id '%s' has been reached", id)
	}
	if f := in.check(); f != nil {
		return nil, f
	}
	there := c.s.Exists(name)
	c.s.mu.Lock()
	if _, known := c.s.repos[name]; known || there {
		c.s.mu.Unlock()
		return nil, failf("RepositoryAlreadyExistsException", "The repository with name '%s' already exists in the registry with id '%s'", name, id)
	}
	r := c.s.repo(name)
	in.apply(r)
	for _, t := range in.Tags {
		r.tags[t.Key] = t.Value
	}
	c.s.mu.Unlock()
	c.s.Create(name)
	return map[string]repositoryView{"repository": c.s.view(name)}, nil
}

func (c *call) deleteRepository() (any, *fail) {
	var in struct {
		RegistryID     string `json:"registryId"`
		RepositoryName string
		Force          bool
	}
	if f := c.read(&in); f != nil {
		return nil, f
	}
	if f := c.named(in.RegistryID, in.RepositoryName); f != nil {
		return nil, f
	}
	if !in.Force && len(c.s.Manifests(in.RepositoryName)) > 0 {
		return nil, failf("RepositoryNotEmptyException", "The repository with name '%s' in registry with id '%s' cannot be deleted because it still contains images",
			in.RepositoryName, c.s.account)
	}
	view := c.s.view(in.RepositoryName)
	c.s.Drop(in.RepositoryName)
	return map[string]repositoryView{"repository": view}, nil
}

// Drop takes a repository away with its images and settings.
func (s *Server) Drop(repo string) bool {
	s.mu.Lock()
	delete(s.repos, repo)
	s.mu.Unlock()
	return s.Server.Drop(repo)
}
