package ghcr

// Permissions are the scopes of a token with which this registry can be read, and
// written if push is set.
func (r *Registry) Permissions(push bool) string {
	scopes, actions := "read:packages", "read"
	if push {
		scopes, actions = "read:packages, write:packages", "write"
	}
	return "a personal access token (classic) with " + scopes + "\n" +
		"# or in GitHub Actions, with the package's role for the workflow's repository:\n" +
		"permissions: {packages: " + actions + "}  # password: ${GITHUB_TOKEN}\n"
}
