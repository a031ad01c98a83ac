package policy

import "fmt"

// ownCloud is the cloud of each provider that can be signed in to from another.
var ownCloud = map[string]FederatedFrom{"ecr": FromAWS, "ecrpublic": FromAWS, "gar": FromGCP, "acr": FromAzure}

// validate checks that there is what both ends need, and nothing of others.
func (f FederatedAuth) validate(provider, inferred, path string, ps *Problems) {
	own, ok := ownCloud[provider]
	switch {
	case !ok:
		ps.add(path, "is for ecr, ecrpublic, gar and acr, and this registry is %s%s; %s", provider, inferred, authInstead(provider))
		return
	case f.From == own:
		ps.add(join(path, "from"), "%s is the cloud of this registry itself; use auth.%s", own, own)
		return
	case f.From == "":
		ps.add(join(path, "from"), "is missing; expected %s", oneOf(f.From.Values()))
	}
	f.validateTaker(provider, inferred, path, ps)
	f.validateGiver(path, ps)
	f.validateAudience(provider, path, ps)
}

// A federatedKey belongs to one end.
type federatedKey struct {
	key, of string
	set     bool
	needed  string // what it is, "" where it may be left out
}

// validateTaker checks what the registry's cloud is told.
func (f FederatedAuth) validateTaker(provider, inferred, path string, ps *Problems) {
	for _, k := range []federatedKey{
		{"roleARN", "ecr", f.RoleARN != "", "the role to take, by its ARN"}, {"sessionName", "ecr", f.SessionName != "", ""}, {"region", "ecr", f.Region != "", ""},
		{"workloadIdentityProvider", "gar", f.WorkloadIdentityProvider != "", "a provider of a workload identity pool"}, {"serviceAccount", "gar", f.ServiceAccount != "", ""},
		{"tenantID", "acr", f.TenantID != "", "the tenant of the registry"}, {"clientID", "acr", f.ClientID != "", "the application or managed identity to sign in as"},
	} {
		mine := k.of == provider || k.of == "ecr" && provider == "ecrpublic" && k.key != "region"
		switch {
		case k.set && !mine:
			ps.add(join(path, k.key), "is for %s, and this registry is %s%s; remove it", k.of, provider, inferred)
		case !k.set && mine && k.needed != "":
			ps.add(join(path, k.key), "is missing; %s wants %s", provider, k.needed)
		}
	}
}

// validateGiver checks what is said of who we are.
func (f FederatedAuth) validateGiver(path string, ps *Problems) {
	for _, k := range []federatedKey{
		{"tokenFile", "kubernetes", f.TokenFile != "", "the file of the pod's projected token"},
		{"aws", "aws", f.AWS != nil, ""}, {"gcp", "gcp", f.GCP != nil, ""}, {"azure", "azure", f.Azure != nil, ""},
	} {
		switch {
		case k.set && k.of != string(f.From) && f.From != "":
			ps.add(join(path, k.key), "goes with from: %s, not with %s; remove it", k.of, f.From)
		case !k.set && k.of == string(f.From) && k.needed != "":
			ps.add(join(path, k.key), "is missing; from %s comes %s", f.From, k.needed)
		}
	}
	if f.AWS != nil {
		f.AWS.validate(join(path, "aws"), ps)
	}
	if f.Azure != nil {
		f.Azure.validate(join(path, "azure"), ps)
	}
	if f.GCP != nil && f.GCP.CredentialsFile != "" && len(f.GCP.Impersonate) == 0 {
		ps.add(join(path, "gcp.impersonate"), "is missing; a file alone gives no token for another cloud, an account that it impersonates does")
	}
}

func (f FederatedAuth) validateAudience(provider, path string, ps *Problems) {
	switch {
	case f.From == FromAWS && provider == "gar" && f.Audience != "":
		ps.add(join(path, "audience"), "Google has AWS judge a signed request, which is for nobody else; remove it")
	case f.From == FromAzure && f.Audience == "":
		ps.add(join(path, "audience"), "is missing; Entra gives tokens for its applications only: the URI of one, such as api://transship")
	}
}

// validate checks that roles are named.
func (a AWSAuth) validate(path string, ps *Problems) {
	for i, role := range a.Roles {
		if role.ARN == "" {
			ps.add(join(path, fmt.Sprintf("roles[%d].arn", i)), "is missing; a role is named by its ARN")
		}
	}
}
