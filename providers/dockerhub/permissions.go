package dockerhub

// Permissions are what an access token needs so that this registry can be read, and
// written if push is set.
func (r *Registry) Permissions(push bool) string {
	if push {
		return "a personal access token with Read & Write, of an account that may write to the namespace;\n" +
			"or an organization's access token with Image push on its repositories\n"
	}
	return "a personal access token with Read-only (Public Repo Read-only where all are public);\n" +
		"or an organization's access token with Image pull; or none, for 100 pulls in 6 hours\n"
}
