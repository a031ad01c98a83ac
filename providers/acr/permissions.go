package acr

import (
	"cmp"
	"fmt"
)

// Permissions are the roles with which this registry can be read, and written if
// push is set, as commands of the Azure CLI: without ABAC, and with it.
func (r *Registry) Permissions(push bool) string {
	role, abac := "AcrPull", "Container Registry Repository Reader"
	if push {
		role, abac = "AcrPush", "Container Registry Repository Writer"
	}
	who := cmp.Or(r.opts.Identity.ClientID, "<client id>")
	grant := func(role string) string {
		return fmt.Sprintf("az role assignment create --assignee %s --role %q \\\n  --scope $(az acr show --name %s --query id --output tsv)\n", who, role, r.name())
	}
	imports := ""
	if push && r.opts.ResourceID != "" {
		imports = "\n# for via: import, besides:\n" + grant("Container Registry Data Importer and Data Reader")
	}
	return grant(role) + "\n# where the registry has \"RBAC Registry + ABAC Repository Permissions\", these instead:\n" +
		grant(abac) + grant("Container Registry Repository Catalog Lister") + imports
}
