package registrytest

import "time"

// Auth is who may do what, and how that is proven.
type Auth struct {
	// Mode is what the registry asks for.
	Mode Mode
	// Users are the known user names and their passwords.
	Users map[string]string
	// Identities are refresh tokens (an ACR or docker login "identity token") and
	// whose they are; they are exchanged by POST.
	Identities map[string]string
	// Grants is what a user may do; a user without an entry may do everything.
	// The user "" is anyone who shows no credential.
	Grants map[string][]Grant
	// AnonymousPull lets anyone read: Docker Hub, public GHCR.
	AnonymousPull bool
	// TokenLife is how long a bearer token is good, 5 minutes if 0. The token
	// service says so in whole seconds, at least 1.
	TokenLife time.Duration
	// OneScope grants only the first scope that a token is asked for.
	OneScope bool
	// NoExpiresIn leaves expires_in out of the token service's answer: ACR.
	NoExpiresIn bool
	// Realm replaces the token service's URL in the challenge.
	Realm string
}

// A Mode is a way to prove who one is.
type Mode string

// The modes.
const (
	Open   Mode = ""
	Basic  Mode = "basic"  // ECR, htpasswd
	Bearer Mode = "bearer" // everybody else: a token service on the same address, other port
)

// A Grant lets a user do these actions ("pull", "push", "delete", "*") in the
// repositories that the pattern matches: a path.Match pattern, or "**" for any.
// The catalog is the repository "registry:catalog" with the action "*".
type Grant struct {
	Repositories string
	Actions      []string
}
