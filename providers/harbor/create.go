package harbor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const (
	opFind = "find project"
	opMake = "make project"
)

// Ensure makes sure that repo's project is there and takes pushes, and makes it if
// Options.Create says so; repositories are made by pushes. That somebody else made
// it at the same time is fine. Whoever may not look leaves it to the push to say
// what is missing. It asks once for each project, and again if a push is told that it
// is not there.
func (r *Registry) Ensure(ctx context.Context, repo string) error {
	name := projectOf(repo)
	return r.ensured.Do(ctx, name, func(ctx context.Context) error {
		found, err := r.find(ctx, name)
		if err == nil && !found {
			err = r.create(ctx, name)
		}
		return err
	})
}

func projectOf(repo string) string {
	project, _, _ := strings.Cut(repo, "/")
	return project
}

// push pushes to repo. If somebody deleted its project since that was found or made it
// is made anew, once.
func (r *Registry) push(ctx context.Context, repo string, push func() error) error {
	return r.ensured.Push(projectOf(repo), push, r.isMissing, func() error { return r.Ensure(ctx, repo) })
}

// isMissing reports whether err says that there is no project, which we would make:
// the registry says that by 401, and the token service by this code.
func (r *Registry) isMissing(err error) bool {
	e, ok := errors.AsType[*providers.Error](err)
	return ok && r.opts.Create.Projects && e.Kind == providers.NotFound && (e.Status == http.StatusUnauthorized || e.Code == "NOT_FOUND")
}

// find reports whether there is such a project, or nobody may tell; one that takes
// no pushes is an error.
func (r *Registry) find(ctx context.Context, name string) (bool, error) {
	var p struct {
		Registry int `json:"registry_id"`
	}
	_, err := r.api.Ask(ctx, oci.Question{Op: opFind, Count: opFind, Repo: name, Path: "/api/v2.0/projects/" + url.PathEscape(name)}, &p)
	e, _ := errors.AsType[*providers.Error](err)
	switch {
	case err == nil && p.Registry > 0:
		return true, r.fail(opFind, name, providers.Unsupported, fmt.Errorf("project %s is a proxy cache", name), hintProxy)
	case err == nil:
		return true, nil
	case e == nil:
		return false, err
	case e.Status == http.StatusNotFound && e.Code == "NOT_FOUND":
		return false, nil
	case e.Status == http.StatusForbidden || e.Status == http.StatusUnauthorized:
		return r.exists(ctx, name)
	case e.Kind.Retryable():
		return false, err
	}
	return true, nil // no API: the push will tell
}

// exists asks what everyone with an account may: whether there is such a project.
func (r *Registry) exists(ctx context.Context, name string) (bool, error) {
	q := oci.Question{Op: opFind, Count: opFind, Repo: name, Method: http.MethodHead, Path: "/api/v2.0/projects", Values: url.Values{"project_name": {name}}}
	_, err := r.api.Ask(ctx, q, nil)
	e, ok := errors.AsType[*providers.Error](err)
	switch {
	case err == nil:
		return true, nil
	case ok && e.Status == http.StatusNotFound:
		return false, nil
	case ok && !e.Kind.Retryable():
		return true, nil
	}
	return false, err
}

// create makes the project, or says that it is missing.
func (r *Registry) create(ctx context.Context, name string) error {
	c := r.opts.Create
	if !c.Projects {
		_, hint := r.noProject(name)
		return r.fail(opFind, name, providers.Denied, fmt.Errorf("there is no project %s", name), hint)
	}
	body := map[string]any{"project_name": name, "metadata": map[string]string{"public": fmt.Sprint(c.Public)}}
	if c.StorageLimit > 0 {
		body["storage_limit"] = c.StorageLimit
	}
	_, err := r.api.Ask(ctx, oci.Question{Op: opMake, Count: opMake, Repo: name, Method: http.MethodPost, Path: "/api/v2.0/projects", Body: body,
		Good: []int{http.StatusCreated, http.StatusConflict}}, nil)
	if e, ok := errors.AsType[*providers.Error](err); ok && (e.Status == http.StatusForbidden || e.Status == http.StatusUnauthorized) {
		is := *e
		is.Kind, is.Hint = providers.Denied, fmt.Sprintf("the account may make no projects: use a system robot with create project, or make %s by hand", name)
		return &is
	}
	return err
}
