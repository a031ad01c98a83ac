package ecrpublic

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	mediatypes "github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr"
	"github.com/transship/transship/providers/oci"
)

const (
	pageSize = 1000   // the most of all lists
	maxPages = 10_000 // of one list
)

const (
	opRepositories = "list repositories"
	opRows         = "list tags"
)

const (
	hintOthers = "name the repositories in the rule, in from.repositories.include, without a pattern"
	hintTags   = "copy single images by their names: transship copy"
)

// Repositories lists those of our account, a thousand a call: ECR Public lists
// nobody else's. They have the alias that prefix names, or the primary one.
func (r *Registry) Repositories(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		alias, err := r.listable(ctx, prefix)
		if err != nil {
			yield("", err)
			return
		}
		in := &ecrpublic.DescribeRepositoriesInput{MaxResults: aws.Int32(pageSize)}
		for range maxPages {
			out, err := ecr.Call(ctx, r.account, opRepositories, "", in, (*ecrpublic.Client).DescribeRepositories)
			if err == nil && in.NextToken != nil && aws.ToString(out.NextToken) == *in.NextToken {
				err = r.fail(opRepositories, "", providers.Invalid, oci.ErrEndless, oci.HintEndless)
			}
			if err != nil {
				yield("", err)
				return
			}
			for _, repo := range out.Repositories {
				path := alias + "/" + aws.ToString(repo.RepositoryName)
				if strings.HasPrefix(path, prefix) && !yield(path, nil) {
					return
				}
			}
			if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
				return
			}
		}
		yield("", r.fail(opRepositories, "", providers.Invalid, oci.ErrEndless, oci.HintEndless))
	}
}

// listable is the alias by which our repositories are listed, if prefix can be one
// of them.
func (r *Registry) listable(ctx context.Context, prefix string) (alias string, err error) {
	names, err := r.names(ctx)
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", r.fail(opRepositories, "", providers.Unsupported, errors.New("ECR Public lists the repositories of the account that signs in, and nobody's else"), hintOthers)
	}
	want, _, whole := strings.Cut(prefix, "/")
	if !whole {
		return names[0], nil
	}
	if !slices.Contains(names, want) {
		return "", r.fail(opRepositories, "", providers.Unsupported, fmt.Errorf("ECR Public lists the repositories of our account alone, below %s; %s is another's", strings.Join(names, " and "), want), hintOthers)
	}
	return want, nil
}

// Rows lists every manifest of a repository of our account, a thousand a call, and
// of others the tags' names, where the registry tells them.
func (r *Registry) Rows(ctx context.Context, repo string) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		switch ours, err := r.ours(ctx, repo); {
		case err != nil:
			yield(providers.Row{}, err)
		case ours:
			r.images(ctx, repo, yield)
		default:
			r.tags(ctx, repo, yield)
		}
	}
}

// images is Rows of our own.
func (r *Registry) images(ctx context.Context, repo string, yield func(providers.Row, error) bool) {
	_, name := split(repo)
	in := &ecrpublic.DescribeImagesInput{RepositoryName: &name, MaxResults: aws.Int32(pageSize)}
	for range maxPages {
		out, err := ecr.Call(ctx, r.account, opRows, repo, in, (*ecrpublic.Client).DescribeImages)
		if err == nil && in.NextToken != nil && aws.ToString(out.NextToken) == *in.NextToken {
			err = r.fail(opRows, repo, providers.Invalid, oci.ErrEndless, oci.HintEndless)
		}
		if err != nil {
			yield(providers.Row{}, err)
			return
		}
		for _, image := range out.ImageDetails {
			row, err := rowOf(image)
			if err != nil {
				r.log.Warn("an image in a list cannot be read; it is left out", "host", r.Host(), "repo", repo, "err", err)
				continue
			}
			if !yield(row, nil) {
				return
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			r.ensured.Note(repo)
			return
		}
	}
	yield(providers.Row{}, r.fail(opRows, repo, providers.Invalid, oci.ErrEndless, oci.HintEndless))
}

// rowOf reads an image. Its time is when the digest arrived, whenever its tags did.
func rowOf(d types.ImageDetail) (providers.Row, error) {
	digest, err := v1.NewHash(aws.ToString(d.ImageDigest))
	if err != nil {
		return providers.Row{}, fmt.Errorf("digest: %w", err)
	}
	return providers.Row{Digest: digest, Tags: d.ImageTags, MediaType: mediatypes.MediaType(aws.ToString(d.ImageManifestMediaType)),
		ArtifactType: aws.ToString(d.ArtifactMediaType), Size: aws.ToInt64(d.ImageSizeInBytes), Pushed: aws.ToTime(d.ImagePushedAt)}, nil
}

// tags is Rows of others.
func (r *Registry) tags(ctx context.Context, repo string, yield func(providers.Row, error) bool) {
	for row, err := range r.Registry.Rows(ctx, repo) {
		if !yield(row, noTags(err)) || err != nil {
			return
		}
	}
}

// noTags turns "there is no such page", which is not "there is no such repository",
// into Unsupported.
func noTags(err error) error {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Status != http.StatusNotFound || e.Code != "" {
		return err
	}
	is := *e
	is.Kind, is.Hint = providers.Unsupported, hintTags
	is.Err = fmt.Errorf("ECR Public lists the tags of our account's repositories alone: %w", e.Err)
	return &is
}
