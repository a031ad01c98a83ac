package layout

// Permissions says what the folder has to allow this process.
func (r *Registry) Permissions(push bool) string {
	if push {
		return "read and write " + r.path + " and everything below it"
	}
	return "read " + r.path + " and everything below it"
}
