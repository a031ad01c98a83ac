package providers

import v1 "github.com/google/go-containerregistry/pkg/v1"

// An ImportSource is what [Registry.Import] has the host read: one manifest with
// everything below it. Where there is a password, the host is given it.
type ImportSource struct {
	Host, Repo string
	Digest     v1.Hash
	// ResourceID names a registry of the host's own cloud, which then reads there by
	// our identity's rights and is given no password.
	ResourceID         string
	Username, Password string
}

// String keeps the password out of logs.
func (s ImportSource) String() string {
	return s.Host + "/" + s.Repo + "@" + s.Digest.String()
}
