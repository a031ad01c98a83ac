package policy

import (
	"slices"
	"strings"
)

// providerOfAuth are the providers that each cloud's sign-in is for.
var providerOfAuth = []struct {
	key       string
	providers []string
	set       func(Auth) bool
}{
	{"aws", []string{"ecr", "ecrpublic"}, func(a Auth) bool { return a.AWS != nil }},
	{"gcp", []string{"gar"}, func(a Auth) bool { return a.GCP != nil }},
	{"azure", []string{"acr"}, func(a Auth) bool { return a.Azure != nil }},
}

// apiProviders have an API at a host of its own.
var apiProviders = []string{"dockerhub", "ghcr", "gitlab"}

// validateAPI checks where a service's own API is.
func (r Registry) validateAPI(path string, ps *Problems) {
	switch {
	case r.APIHost == "":
	case !slices.Contains(apiProviders, r.ProviderName()):
		ps.add(join(path, "apiHost"), "is for %s, and this registry is %s%s; remove it", oneOf(apiProviders), r.ProviderName(), r.inferred())
	case strings.HasPrefix(strings.ToLower(r.APIHost), "http:") && !r.PlainHTTP:
		ps.add(join(path, "apiHost"), "the credentials would go there in clear; write https://")
	}
}

// validateCloud checks what only some providers have.
func (r Registry) validateCloud(path string, ps *Problems) {
	provider := r.ProviderName()
	r.validateAPI(path, ps)
	if !r.Reserve.IsZero() && provider != "dockerhub" {
		ps.add(join(path, "reserve"), "is for dockerhub, and this registry is %s%s; remove it, or use limits", provider, r.inferred())
	}
	for _, a := range providerOfAuth {
		if a.set(r.Auth) && !slices.Contains(a.providers, provider) {
			ps.add(join(path, "auth."+a.key), "is for %s, and this registry is %s%s; %s", strings.Join(a.providers, " and "), provider, r.inferred(), authInstead(provider))
		}
	}
	if a := r.Auth.AWS; a != nil {
		a.validate(join(path, "auth.aws"), ps)
	}
	if region := zeroOf(r.Auth.AWS).Region; provider == "ecrpublic" && region != "" && region != "us-east-1" {
		ps.add(join(path, "auth.aws.region"), "the API of ECR Public is in us-east-1 alone; remove it")
	}
	if a := r.Auth.Azure; a != nil {
		a.validate(join(path, "auth.azure"), ps)
	}
	if f := r.Auth.Federated; f != nil {
		f.validate(provider, r.inferred(), join(path, "auth.federated"), ps)
	}
	if !r.Auth.APIToken.IsZero() && provider != "quay" {
		ps.add(join(path, "auth.apiToken"), "is for quay, and this registry is %s%s; remove it", provider, r.inferred())
	}
	r.Create.validate(provider, r.inferred(), join(path, "create"), ps)
}

// CheckQuotas holds limits.quotas against the quotas that a registry's provider
// publishes, by their names. It returns what is wrong, with positions.
func (s *Set) CheckQuotas(published func(registry string) []string) Problems {
	var ps Problems
	for _, name := range s.Names() {
		for quota := range s.Registries[name].Limits.Quotas {
			known := published(name)
			if slices.Contains(known, quota) {
				continue
			}
			instead := "expected " + oneOf(known) + suggest(quota, known)
			if len(known) == 0 {
				instead = s.Registries[name].ProviderName() + " publishes none; use limits.requests"
			}
			ps.add(join("registries", name)+".limits.quotas."+quota, "no quota %s; %s", quote(quota), instead)
		}
	}
	return s.placed(ps)
}

// inferred says where the provider is from, if the policy does not name it.
func (r Registry) inferred() string {
	if r.Provider != "" {
		return ""
	}
	return " (by its host)"
}

func authInstead(provider string) string {
	for _, a := range providerOfAuth {
		if slices.Contains(a.providers, provider) {
			return "use auth." + a.key
		}
	}
	return "use username and password, token, identityToken or dockerConfig"
}

// validate checks what goes together.
func (a AzureAuth) validate(path string, ps *Problems) {
	secret, certificate := !a.ClientSecret.IsZero(), a.ClientCertificate != ""
	principal := a.Credential == AzureServicePrincipal || a.Credential == "" && (secret || certificate)
	switch {
	case secret && certificate:
		ps.add(join(path, "clientCertificate"), "clientSecret and clientCertificate exclude each other; keep one")
	case (secret || certificate) && !principal:
		ps.add(join(path, "credential"), "%s takes no clientSecret or clientCertificate; use servicePrincipal, or remove them", a.Credential)
	case principal && !secret && !certificate:
		ps.add(join(path, "clientSecret"), "is missing; a servicePrincipal has clientSecret or clientCertificate")
	}
	for _, f := range []struct {
		key, value string
		wanted     bool
	}{{"clientID", a.ClientID, principal}, {"tenantID", a.TenantID, principal}} {
		if f.wanted && f.value == "" {
			ps.add(join(path, f.key), "is missing; a servicePrincipal has a tenantID and a clientID")
		}
		if a.Credential == AzureCLI && f.key == "clientID" && f.value != "" {
			ps.add(join(path, f.key), "cli signs in as who ran az login; remove it")
		}
	}
}

// validate checks that the settings are those of the registry's provider.
func (c Create) validate(provider, inferred, path string, ps *Problems) {
	for _, s := range []struct {
		key, provider string
		set           bool
	}{{"ecr", "ecr", c.ECR != nil}, {"gar", "gar", c.GAR != nil}, {"harbor", "harbor", c.Harbor != nil}} {
		if s.set && s.provider != provider {
			ps.add(join(path, s.key), "is for %s, and this registry is %s%s; remove it", s.provider, provider, inferred)
		}
	}
	switch {
	case c.Enforce && provider != "ecr" && provider != "gar":
		ps.add(join(path, "enforce"), "only repositories of ecr and gar have settings; remove it")
	case c.Enforce && c.ECR == nil && c.GAR == nil:
		ps.add(join(path, "enforce"), "there are no settings to enforce; give them as %s, or remove it", provider)
	}
	if c.Never && c.Harbor != nil {
		ps.add(join(path, "never"), "no project is made, so that its settings say nothing; remove one of them")
	}
	if c.Never && (c.ECR != nil || c.GAR != nil) && !c.Enforce {
		ps.add(join(path, "never"), "no repository is made, so that its settings say nothing; remove one of them, or add enforce: true")
	}
	if c.ECR != nil {
		c.ECR.validate(join(path, "ecr"), c.Enforce, ps)
	}
}

func (c CreateECR) validate(path string, enforced bool, ps *Problems) {
	if len(c.Exclusions) > 0 && c.Immutability == "" {
		ps.add(join(path, "exclusions"), "are from immutability; set that, too")
	}
	if !c.Template {
		return
	}
	var settings []string
	for _, s := range []struct {
		key string
		set bool
	}{
		{"immutability", c.Immutability != ""}, {"scanOnPush", c.ScanOnPush}, {"kmsKey", c.KMSKey != ""},
		{"lifecyclePolicy", c.LifecyclePolicy != ""}, {"repositoryPolicy", c.RepositoryPolicy != ""}, {"tags", len(c.Tags) > 0},
	} {
		if s.set {
			settings = append(settings, s.key)
		}
	}
	if len(settings) > 0 {
		ps.add(join(path, "template"), "leaves all settings to the account; remove it, or %s", strings.Join(settings, ", "))
	}
	if enforced {
		ps.add(join(path, "template"), "leaves all settings to the account, so that there is nothing to enforce; remove one of them")
	}
}
