package ecrpublic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr"
)

const opMake = "make repository"

// Ensure makes repo, if it is not there; that somebody else made it at the same time
// is fine. One below another account's alias is Denied. Whoever may not look leaves
// it to the push to say what is missing. It asks once for each repository, and again
// if a push is told that it is not there.
func (r *Registry) Ensure(ctx context.Context, repo string) error {
	if !r.makes() {
		return context.Cause(ctx)
	}
	return r.ensured.Do(ctx, repo, func(ctx context.Context) error { return r.ensure(ctx, repo) })
}

// makes reports whether a repository that is missing is made.
func (r *Registry) makes() bool { return !r.opts.Never && !r.given }

func (r *Registry) ensure(ctx context.Context, repo string) error {
	names, err := r.names(ctx)
	if err != nil || len(names) == 0 {
		return err
	}
	alias, name := split(repo)
	if !slices.Contains(names, alias) {
		return r.fail(opMake, repo, providers.Denied, fmt.Errorf("the alias %s is not one of our account, which has %s", alias, strings.Join(names, " and ")),
			"map the repository below one of these, or sign in as the account that has the alias")
	}
	_, err = ecr.Call(ctx, r.account, opMake, repo, &ecrpublic.DescribeRepositoriesInput{RepositoryNames: []string{name}}, (*ecrpublic.Client).DescribeRepositories)
	switch kind := providers.KindOf(err); {
	case kind == providers.Denied && context.Cause(ctx) == nil:
		return nil
	case err != nil && kind == providers.NotFound:
		return r.create(ctx, repo, name)
	}
	return err
}

func (r *Registry) create(ctx context.Context, repo, name string) error {
	_, err := ecr.Call(ctx, r.account, opMake, repo, &ecrpublic.CreateRepositoryInput{RepositoryName: &name}, (*ecrpublic.Client).CreateRepository)
	if e, ok := errors.AsType[*providers.Error](err); ok && e.Code == "RepositoryAlreadyExistsException" {
		return nil // somebody was faster
	}
	return err
}
