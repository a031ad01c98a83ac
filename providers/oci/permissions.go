package oci

// Permissions says what a plain registry has to grant, in the words of
// distribution's tokens.
func (r *Registry) Permissions(push bool) string {
	if push {
		return "pull and push on the repositories that are written to; push has to make them, or somebody makes them first"
	}
	return "pull on the repositories that are read; registry:catalog:* if rules name them by patterns"
}
