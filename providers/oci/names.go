package oci

import (
	"fmt"
	"regexp"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// Names end up in URLs, and come from policies, listings and manifests alike.
// The patterns are wider than the spec's: some hosts take capitals.
var (
	repoName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*(/[a-zA-Z0-9][a-zA-Z0-9._-]*)*$`)
	tagName  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

const maxRepoName = 512

func validRepo(repo string) bool { return len(repo) <= maxRepoName && repoName.MatchString(repo) }

// validRef accepts tags and digests.
func validRef(ref string) bool {
	if tagName.MatchString(ref) {
		return true
	}
	_, err := v1.NewHash(ref)
	return err == nil
}

// check refuses names that no registry has.
func (r *Registry) check(op, repo, ref string) error {
	what := ""
	switch {
	case !validRepo(repo):
		what = fmt.Sprintf("%.100q is not a repository name", repo)
	case ref != "" && !validRef(ref):
		what = fmt.Sprintf("%.200q is neither a tag nor a digest", ref)
	default:
		return nil
	}
	return &providers.Error{Kind: providers.Invalid, Op: op, Ref: r.Host(),
		Hint: "write it as host/repository:tag", Err: fmt.Errorf("%s", what)}
}
