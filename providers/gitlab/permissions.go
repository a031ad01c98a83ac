package gitlab

// Permissions are the scopes and the role that a token needs so that this registry
// can be read, and written if push is set.
func (r *Registry) Permissions(push bool) string {
	if push {
		return "a personal, group or project access token with read_registry and write_registry, of a user who is Developer in each project (or a deploy token with both);\n" +
			"read_api besides, so that projects that are missing are told by name"
	}
	return "a personal, group or project access token with read_registry, of a user who is Reporter in each project (or a deploy token with it);\n" +
		"read_api besides, if rules name repositories by patterns, which a deploy token cannot list"
}
