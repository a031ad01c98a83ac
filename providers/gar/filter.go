package gar

import (
	"context"
	"fmt"
	"iter"
	"regexp"
	"strings"

	artifactregistry "cloud.google.com/go/artifactregistry/apiv1"
	"google.golang.org/api/iterator"
)

// plainName is the beginning of a name that the API writes as we do.
var plainName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

// beginning is the API's filter for resources of a collection whose name begins so,
// as far as the first slash, which the API writes otherwise; "" is none.
func beginning(collection, name string) string {
	name, _, _ = strings.Cut(name, "/")
	if !plainName.MatchString(name) || strings.ContainsAny(collection, `"*`) {
		return ""
	}
	return fmt.Sprintf(`name="%s/%s*"`, collection, name)
}

// filtered is pages of a list with a filter. One that leaves nothing is not believed:
// the list is read without.
func filtered[T any](ctx context.Context, r *Registry, method, repo, filter string,
	list func(c *artifactregistry.Client, ctx context.Context, filter string) iterator.Pageable) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		some := false
		for _, f := range []string{filter, ""} {
			of := func(c *artifactregistry.Client, ctx context.Context) iterator.Pageable { return list(c, ctx, f) }
			for item, err := range pages[T](ctx, r, opRepositories, method, repo, of) {
				some = true
				if !yield(item, err) {
					return
				}
			}
			if some || f == "" {
				return
			}
		}
	}
}
