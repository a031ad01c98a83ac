package ecr

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	mediatypes "github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const (
	pageSize = 1000   // the most of both lists
	maxPages = 10_000 // of one list
)

const (
	opRepositories = "list repositories"
	opRows         = "list tags"
)

// Repositories lists those of the account, a thousand a call; the service knows no
// prefix.
func (r *Registry) Repositories(ctx context.Context, prefix string) iter.Seq2[string, error] {
	if r.plain(ctx) {
		return r.Registry.Repositories(ctx, prefix)
	}
	return func(yield func(string, error) bool) {
		in := &ecr.DescribeRepositoriesInput{RegistryId: r.registryID(), MaxResults: aws.Int32(pageSize)}
		for range maxPages {
			out, err := call(ctx, r, opRepositories, "", in, (*ecr.Client).DescribeRepositories)
			if err == nil && in.NextToken != nil && aws.ToString(out.NextToken) == *in.NextToken {
				err = r.fail(opRepositories, "", providers.Invalid, oci.ErrEndless, oci.HintEndless)
			}
			if err != nil {
				yield("", err)
				return
			}
			for _, repo := range out.Repositories {
				name := aws.ToString(repo.RepositoryName)
				if strings.HasPrefix(name, prefix) && !yield(name, nil) {
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

// Rows lists every manifest of repo, a thousand a call, those in the archive too.
func (r *Registry) Rows(ctx context.Context, repo string) iter.Seq2[providers.Row, error] {
	if r.plain(ctx) {
		return r.Registry.Rows(ctx, repo)
	}
	return func(yield func(providers.Row, error) bool) {
		in := &ecr.DescribeImagesInput{RegistryId: r.registryID(), RepositoryName: &repo, MaxResults: aws.Int32(pageSize)}
		for range maxPages {
			out, err := r.images(ctx, repo, in)
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
				r.there(repo)
				return
			}
		}
		yield(providers.Row{}, r.fail(opRows, repo, providers.Invalid, oci.ErrEndless, oci.HintEndless))
	}
}

// images asks for a page. A service that does not know of archived images (a
// partition that is behind) is asked without the filter.
func (r *Registry) images(ctx context.Context, repo string, in *ecr.DescribeImagesInput) (*ecr.DescribeImagesOutput, error) {
	r.mu.Lock()
	old := r.oldFilter
	r.mu.Unlock()
	in.Filter = &types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterAny}
	if old {
		in.Filter = nil
	}
	out, err := call(ctx, r, opRows, repo, in, (*ecr.Client).DescribeImages)
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || old || in.NextToken != nil || e.Kind != providers.Invalid || !strings.Contains(e.Err.Error(), "imageStatus") {
		return out, err
	}
	r.mu.Lock()
	r.oldFilter = true
	r.mu.Unlock()
	return r.images(ctx, repo, in)
}

// rowOf reads an image. Its time is when the digest arrived, whenever its tags did.
func rowOf(d types.ImageDetail) (providers.Row, error) {
	digest, err := v1.NewHash(aws.ToString(d.ImageDigest))
	if err != nil {
		return providers.Row{}, fmt.Errorf("digest: %w", err)
	}
	row := providers.Row{
		Digest: digest, Tags: d.ImageTags, MediaType: mediatypes.MediaType(aws.ToString(d.ImageManifestMediaType)),
		ArtifactType: aws.ToString(d.ArtifactMediaType), Size: aws.ToInt64(d.ImageSizeInBytes), Pushed: aws.ToTime(d.ImagePushedAt),
		Archived: d.ImageStatus != "" && d.ImageStatus != types.ImageStatusActive,
	}
	if s := aws.ToString(d.SubjectManifestDigest); s != "" {
		if row.Subject, err = v1.NewHash(s); err != nil {
			return providers.Row{}, fmt.Errorf("subject: %w", err)
		}
	}
	return row, nil
}

// registryID names the account of the host; nil is the caller's own.
func (r *Registry) registryID() *string {
	if r.host.Account == "" {
		return nil
	}
	return &r.host.Account
}

// plain reports whether the API is not ours to use: the registry has a user and a
// password of its own, and AWS's chain finds nobody.
func (r *Registry) plain(ctx context.Context) bool {
	if !r.given || !r.opts.Identity.isZero() {
		return false
	}
	r.mu.Lock()
	nobody := time.Now().Before(r.alone)
	r.mu.Unlock()
	if nobody {
		return true
	}
	_, err := r.caller.get(ctx, r.ask)
	if providers.KindOf(err) != providers.Denied {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alone = time.Now().Add(aloneFor)
	return true
}

// aloneFor is how long AWS's chain is not asked again whether it finds somebody
// for a registry that can do without: where there is no metadata server that
// takes seconds.
const aloneFor = 15 * time.Minute
