package gar

import "strings"

// What each use of a registry needs, and no more.
var (
	readPermissions = []string{"artifactregistry.packages.list", "artifactregistry.repositories.downloadArtifacts", "artifactregistry.repositories.get",
		"artifactregistry.repositories.list", "artifactregistry.tags.list", "artifactregistry.versions.list"}
	writePermissions   = []string{"artifactregistry.repositories.uploadArtifacts", "artifactregistry.tags.create", "artifactregistry.tags.update"}
	createPermissions  = []string{"artifactregistry.repositories.create"}
	enforcePermissions = []string{"artifactregistry.repositories.update"}
)

// Permissions is the smallest custom role, as "gcloud iam roles create --file" takes
// it, with which this registry can be read, and written if push is set, with its
// repositories made as Create says.
func (r *Registry) Permissions(push bool) string {
	all := readPermissions
	add := func(more []string) { all = append(all[:len(all):len(all)], more...) }
	title := "transship: read Artifact Registry"
	if push {
		title = "transship: write to Artifact Registry"
		add(writePermissions)
	}
	if push && !r.opts.Create.Never {
		add(createPermissions)
	}
	if push && r.opts.Create.Enforce {
		add(enforcePermissions)
	}
	return "title: \"" + title + "\"\nstage: GA\nincludedPermissions:\n- " + strings.Join(all, "\n- ") + "\n"
}
