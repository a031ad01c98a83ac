package policy

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// A Via is how an image comes to a target.
type Via string

// The ways.
const (
	ViaCopy   Via = "copy"
	ViaImport Via = "import"
)

// Values are the values that a policy may give.
func (Via) Values() []string { return []string{"copy", "import"} }

// resourceID is what providers/acr takes, too: a subscription's id, the name of a
// resource group, and that of a registry. The group's name is measured apart: its
// letters are those of all scripts, and ninety times that is megabytes of memory.
var resourceID = regexp.MustCompile(`^/subscriptions/[0-9a-fA-F-]{36}/resourceGroups/([-\p{L}\p{N}_.()]+)/providers/Microsoft\.ContainerRegistry/registries/[a-zA-Z0-9]{5,50}$`)

const longestGroup = 90 // characters

func isResourceID(id string) bool {
	m := resourceID.FindStringSubmatch(id)
	return m != nil && utf8.RuneCountInString(m[1]) <= longestGroup
}

const resourceIDForm = "/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.ContainerRegistry/registries/NAME"

// checkVia checks that a target can import, and that no credential goes to Azure
// unless the policy says so.
func (s *Set) checkVia(r Rule, t Target, path string, ps *Problems) {
	target, known := s.Registries[t.Registry]
	source, sourceKnown := s.Registries[r.From.Registry]
	if t.ShareSourceCredential && t.Via != ViaImport {
		ps.add(join(path, "shareSourceCredential"), "does nothing without via: import; remove it")
	}
	if t.Via != ViaImport || !known || !sourceKnown {
		return
	}
	via := join(path, "via")
	switch {
	case target.ProviderName() != "acr":
		ps.add(via, "only a registry of provider acr imports; remove it")
	case target.ResourceID == "":
		ps.add(via, "needs resourceID of registry %s: %s", quote(t.Registry), resourceIDForm)
	}
	if len(r.Platforms.Only) > 0 {
		ps.add(via, "imports whole images, and the rule takes some platforms only; remove one of them")
	}
	switch why := source.unimportable(); {
	case why != "":
		ps.add(via, "registry %s %s; remove it", quote(r.From.Registry), why)
	case source.givesCredential() && !t.ShareSourceCredential:
		ps.add(via, "would give Azure the credential of registry %s; add shareSourceCredential: true if it may have that, or remove it", quote(r.From.Registry))
	}
}

// unimportable says why Azure cannot read the registry, "" if it can.
func (r Registry) unimportable() string {
	a := r.Auth
	switch {
	case r.ProviderName() == "layout":
		return "is a folder, which Azure cannot read"
	case r.ProviderName() == "acr" && r.ResourceID != "", a.Anonymous, r.givesCredential():
		return ""
	case r.ProviderName() == "acr":
		return "has no resourceID, by which Azure would read it"
	}
	return "signs in with what cannot be given to Azure: expected auth with username and password, or anonymous: true"
}

// givesCredential reports whether Azure would be given the registry's password.
func (r Registry) givesCredential() bool {
	byID := r.ProviderName() == "acr" && r.ResourceID != ""
	return !byID && !r.Auth.Username.IsZero() && !r.Auth.Password.IsZero()
}

// checkResourceID checks a registry's.
func (r Registry) checkResourceID(path string, ps *Problems) {
	switch {
	case r.ResourceID == "":
	case r.ProviderName() != "acr":
		ps.add(join(path, "resourceID"), "only a registry of provider acr has one; remove it")
	case !isResourceID(r.ResourceID):
		ps.add(join(path, "resourceID"), "%s is none; expected %s", quote(r.ResourceID), resourceIDForm)
	case !r.namedBy(r.ResourceID):
		ps.add(join(path, "resourceID"), "is that of another registry than host %s: what is imported would go there", quote(r.Host))
	}
}

// namedBy reports whether a resource's id can be the registry's at host, whose name is
// the registry's, and what Azure put behind that; a host of one's own does not tell.
func (r Registry) namedBy(id string) bool {
	parts := acrHost.FindStringSubmatch(bareHost(r.Host))
	if parts == nil {
		return true
	}
	name, _, _ := strings.Cut(parts[1], "-")
	return strings.EqualFold(id[strings.LastIndexByte(id, '/')+1:], name)
}
