package providers

import "time"

// An Identity is whom a host takes us for. It holds no credential.
type Identity struct {
	// Name is for people: a user, a role's ARN, a service account; "anonymous"
	// where nobody signs in, and never empty.
	Name string `json:"name"`
	// From says how it was found: "the policy's username", "the docker
	// configuration", "the web identity token of AWS_WEB_IDENTITY_TOKEN_FILE".
	From string `json:"from"`
	// Expires is when what the host gave us ends, as far as it says; it is renewed
	// before. Zero where nothing ends or the host says nothing.
	Expires time.Time `json:"expires,omitzero"`
}

// Anonymous is the name of nobody.
const Anonymous = "anonymous"

// String is for a person: the name, and in brackets where it is from.
func (i Identity) String() string {
	if i.From == "" {
		return i.Name
	}
	return i.Name + " (" + i.From + ")"
}
