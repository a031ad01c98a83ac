package harbor

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const (
	hintImmutable = "an immutability rule of the project keeps the tag: change the rule, or write under another tag"
	hintPolicy    = "a policy of the project holds the image back (vulnerabilities, signatures): change it there, add the image to its allowlist, or exclude the tag"
	hintProxy     = "the project is a proxy cache, which takes no pushes: write to another project"
	hintReadOnly  = "the registry is in read only mode: what it lacks goes on when that is over"
	hintLogin     = "check the name and the secret; a robot is called robot$name, or robot$project+name (in a shell or a compose file quote the $)"
)

// missing is how Harbor says that a project is not there, to whoever asks for a
// repository in it.
var missing = regexp.MustCompile(`^project (\S+) not found`)

// explain says what refusals of the registry and of the API mean.
func (r *Registry) explain(f oci.Refusal) (providers.Kind, string, bool) {
	words := strings.ToLower(f.Message)
	project := projectOf(f.Repo)
	if m := missing.FindStringSubmatch(f.Message); m != nil && f.Repo != "" {
		kind, hint := r.noProject(strings.Trim(m[1], `"'`))
		return kind, hint, true
	}
	switch {
	case f.Code == "PROJECTPOLICYVIOLATION":
		return providers.Denied, hintPolicy, true
	case f.Status == http.StatusPreconditionFailed && strings.Contains(words, "immutable"):
		return providers.Conflict, hintImmutable, true
	case f.Status == http.StatusPreconditionFailed:
		return providers.Denied, hintPolicy, true
	case strings.Contains(words, "configured upper limit") || strings.Contains(words, "quota"):
		return providers.Quota, fmt.Sprintf("the quota of project %s is used up: raise it, or delete artifacts and run the garbage collection", project), true
	case f.Status == http.StatusMethodNotAllowed && strings.Contains(words, "proxy project"):
		return providers.Unsupported, hintProxy, true
	case strings.Contains(words, "read only mode"):
		return providers.Unavailable, hintReadOnly, true
	case f.Code == "UNKNOWN" && strings.Contains(words, "not found"): // 2.10.2, of a manifest
		return providers.NotFound, "", true
	case f.Op == "sign in" && f.Status == http.StatusUnauthorized:
		return providers.Denied, hintLogin, true
	case f.Status == http.StatusUnauthorized && f.Repo != "" && writes(f.Op):
		return providers.Denied, fmt.Sprintf("give the account push on project %s", project), true
	case f.Status == http.StatusUnauthorized && f.Repo != "":
		return providers.Denied, fmt.Sprintf("give the account pull on project %s", project), true
	}
	return providers.Unknown, "", false
}

func writes(op string) bool {
	switch op {
	case "put manifest", "upload blob", "mount blob", "try to push":
		return true
	}
	return false
}

// noProject is what a project that is not there means: where projects are made, no
// more than a repository that is not there yet; where one is written to and they are
// not, that nothing goes on until a person has made it.
func (r *Registry) noProject(name string) (providers.Kind, string) {
	switch {
	case r.opts.Create.Projects:
		return providers.NotFound, fmt.Sprintf("project %s is made by the first push", name)
	case r.opts.OCI.Push:
		return providers.Denied, fmt.Sprintf("there is no project %s: make it, let create: {harbor: {}} of this registry do it, or map to another one", name)
	}
	return providers.NotFound, fmt.Sprintf("there is no project %s: check the name, which is the first element of the path", name)
}
