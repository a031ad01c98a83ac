package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const opProject = "look for the project"

// Ensure looks whether there is a project that repo can be an image of: a push makes
// the repository, and nothing but a person makes the project. It asks once for each
// project; where GitLab's API is not known, or does not let us look, it leaves the
// answer to the push.
func (r *Registry) Ensure(ctx context.Context, repo string) error {
	paths := projectsOf(repo)
	if r.api == nil || r.knows(paths) {
		return context.Cause(ctx)
	}
	for _, path := range paths {
		found, err := r.api.Ask(ctx, oci.Question{Op: opProject, Count: providers.OpCatalog, Repo: repo,
			Path: "/api/v4/projects/" + url.PathEscape(path), Values: url.Values{"simple": {"true"}},
			Good: []int{http.StatusOK, http.StatusNotFound}}, nil)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			return nil // not ours to see: the push will tell
		}
		if found.Status == http.StatusOK {
			r.mu.Lock()
			r.projects[path] = true
			r.mu.Unlock()
			return nil
		}
	}
	return r.fail(opProject, repo, providers.NotFound, fmt.Errorf("GitLab shows us none of the projects %s that it could be an image of", strings.Join(paths, ", ")),
		"make the project at GitLab, or make the token's user a member of it; an image is at most two path elements below its project")
}

// projectsOf are the paths of the projects to which a repository can belong, the
// longest first, as GitLab itself looks for them.
func projectsOf(repo string) (paths []string) {
	for range levels + 1 {
		if !strings.Contains(repo, "/") {
			break
		}
		paths = append(paths, repo)
		repo = repo[:strings.LastIndexByte(repo, '/')]
	}
	return paths
}

func (r *Registry) knows(paths []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, path := range paths {
		if r.projects[path] {
			return true
		}
	}
	return false
}
