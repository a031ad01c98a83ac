package acr

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// explainRefusal says what ACR's own words mean where they are not those of every
// registry.
func (r *Registry) explainRefusal(f oci.Refusal) (kind providers.Kind, hint string, ok bool) {
	words := strings.ToLower(f.Message)
	switch {
	case strings.Contains(words, "storage") && (strings.Contains(words, "limit") || strings.Contains(words, "exceed") || strings.Contains(words, "quota")):
		return providers.Quota, hintQuota, true
	case f.Code == "REGISTRY_DISALLOWED_OPERATION" && writes(f.Op):
		return providers.Conflict, r.unlockHint(f), true
	case f.Code == "REGISTRY_DISALLOWED_OPERATION":
		return providers.Denied, "reading it is switched off at the registry, or it is in quarantine: " + r.update(f, "--read-enabled true"), true
	case f.Code == "MANIFEST_BLOB_UNKNOWN" && r.host.Region == "":
		return providers.Incomplete, hintRegion, true
	case f.Status == http.StatusForbidden && (strings.Contains(words, "client with ip") || strings.Contains(words, "firewall")):
		return providers.Denied, "allow this machine's address in the registry's network rules, or use its private endpoint", true
	case f.Status == http.StatusUnauthorized || f.Status == http.StatusForbidden:
		if hint := missingRole(f); hint != "" {
			return providers.Denied, hint, true
		}
	}
	return 0, "", false
}

// writes reports whether op changes the registry: those are oci's own words.
func writes(op string) bool {
	return strings.HasPrefix(op, "put ") || strings.HasPrefix(op, "upload ") || strings.HasPrefix(op, "mount ") ||
		strings.HasPrefix(op, "delete ") || strings.HasPrefix(op, "try to push") || strings.HasPrefix(op, "cancel ")
}

func (r *Registry) unlockHint(f oci.Refusal) string {
	return "the tag, its manifest or the repository is locked (or the registry is full, or has a quarantine): " + r.update(f, "--write-enabled true")
}

// update is Azure's command that changes a lock.
func (r *Registry) update(f oci.Refusal, change string) string {
	ref := f.Repo
	switch {
	case f.Ref == "":
		return fmt.Sprintf("az acr repository update --name %s --repository %s %s", r.name(), ref, change)
	case strings.Contains(f.Ref, ":"):
		ref += "@" + f.Ref
	default:
		ref += ":" + f.Ref
	}
	return fmt.Sprintf("az acr repository update --name %s --image %s %s", r.name(), ref, change)
}

// missingRole names the role that a refused request needs, "" if it does not say.
func missingRole(f oci.Refusal) string {
	var detail []struct{ Type, Name, Action string }
	if json.Unmarshal([]byte(f.Detail), &detail) != nil {
		return ""
	}
	need := ""
	for _, d := range detail {
		role := roleFor[d.Action]
		if d.Type == "registry" {
			role = roleFor["*"]
		}
		if role != "" {
			need = fmt.Sprintf("grant %s: %s", d.Action, role)
			if d.Type == "repository" {
				need = fmt.Sprintf("grant %s on %s: %s", d.Action, d.Name, role)
			}
		}
	}
	return need
}

// roleFor are the roles by what a token lacks, without and with ABAC.
var roleFor = map[string]string{
	"pull":           "AcrPull, or Container Registry Repository Reader where the registry has ABAC",
	"metadata_read":  "AcrPull, or Container Registry Repository Reader where the registry has ABAC",
	"push":           "AcrPush, or Container Registry Repository Writer where the registry has ABAC",
	"metadata_write": "AcrPush, or Container Registry Repository Writer where the registry has ABAC",
	"delete":         "AcrDelete, or Container Registry Repository Contributor where the registry has ABAC",
	"*":              "AcrPull, or Container Registry Repository Catalog Lister where the registry has ABAC; or name the repositories in the rule",
}
