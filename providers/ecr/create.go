package ecr

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/transship/transship/providers"
)

const opMake = "make repository"

// Ensure makes repo with the settings of Options.Create, if it is not there. One
// that is there stays as it is, unless Create.Enforce; that somebody else made it
// at the same time is fine. Whoever may not look leaves it to the push to say what
// is missing. It asks once for each repository, and again if a push is told that it
// is not there.
func (r *Registry) Ensure(ctx context.Context, repo string) error {
	c := r.opts.Create
	if (c.Never || c.Template) && !c.Enforce || r.plain(ctx) {
		return context.Cause(ctx)
	}
	return r.ensured.Do(ctx, repo, func(ctx context.Context) error { return r.ensure(ctx, repo) })
}

// there notes that repo was listed: it need not be made.
func (r *Registry) there(repo string) {
	r.mu.Lock()
	unfinished := r.unfinished[repo]
	r.mu.Unlock()
	if !unfinished && !r.opts.Create.Enforce {
		r.ensured.Note(repo)
	}
}

func (r *Registry) ensure(ctx context.Context, repo string) error {
	c := r.opts.Create
	out, err := call(ctx, r, opMake, repo, &ecr.DescribeRepositoriesInput{RegistryId: r.registryID(), RepositoryNames: []string{repo}},
		(*ecr.Client).DescribeRepositories)
	switch {
	case err == nil && len(out.Repositories) > 0 && c.Enforce:
		return r.enforce(ctx, out.Repositories[0])
	case err == nil:
		return r.finish(ctx, repo)
	case providers.KindOf(err) == providers.Denied && !r.session.isRefused():
		return nil
	case providers.KindOf(err) != providers.NotFound:
		return err
	case c.Never || c.Template:
		return nil
	}
	return r.create(ctx, repo)
}

func (r *Registry) create(ctx context.Context, repo string) error {
	c := r.opts.Create
	in := &ecr.CreateRepositoryInput{RegistryId: r.registryID(), RepositoryName: &repo,
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: c.ScanOnPush}}
	in.ImageTagMutability, in.ImageTagMutabilityExclusionFilters = c.mutability()
	if c.KMSKey != "" {
		in.EncryptionConfiguration = &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeKms, KmsKey: &c.KMSKey}
	}
	in.Tags = c.tags()
	_, err := call(ctx, r, opMake, repo, in, (*ecr.Client).CreateRepository)
	if e, ok := errors.AsType[*providers.Error](err); ok && e.Code == "RepositoryAlreadyExistsException" {
		return nil // somebody was faster
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.unfinished[repo] = true
	r.mu.Unlock()
	return r.finish(ctx, repo)
}

// finish gives a repository that we made its policies, which creation does not take.
func (r *Registry) finish(ctx context.Context, repo string) error {
	r.mu.Lock()
	unfinished := r.unfinished[repo]
	r.mu.Unlock()
	if !unfinished {
		return nil
	}
	if err := r.putPolicies(ctx, repo, r.opts.Create.LifecyclePolicy, r.opts.Create.RepositoryPolicy); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.unfinished, repo)
	return nil
}

// putPolicies sets those that are given.
func (r *Registry) putPolicies(ctx context.Context, repo string, lifecycle, policy []byte) error {
	if len(lifecycle) > 0 {
		in := &ecr.PutLifecyclePolicyInput{RegistryId: r.registryID(), RepositoryName: &repo, LifecyclePolicyText: aws.String(string(lifecycle))}
		if _, err := call(ctx, r, "set lifecycle policy", repo, in, (*ecr.Client).PutLifecyclePolicy); err != nil {
			return err
		}
	}
	if len(policy) > 0 {
		in := &ecr.SetRepositoryPolicyInput{RegistryId: r.registryID(), RepositoryName: &repo, PolicyText: aws.String(string(policy))}
		if _, err := call(ctx, r, "set repository policy", repo, in, (*ecr.Client).SetRepositoryPolicy); err != nil {
			return err
		}
	}
	return nil
}

// mutability is the setting in ECR's words; nothing if none is asked for.
func (c Create) mutability() (types.ImageTagMutability, []types.ImageTagMutabilityExclusionFilter) {
	if c.Immutability == "" && len(c.Exclusions) == 0 {
		return "", nil
	}
	word := cmp.Or(strings.ToUpper(c.Immutability), string(types.ImageTagMutabilityImmutable))
	var filters []types.ImageTagMutabilityExclusionFilter
	for _, pattern := range c.Exclusions {
		filters = append(filters, types.ImageTagMutabilityExclusionFilter{
			Filter: &pattern, FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard})
	}
	if len(filters) > 0 {
		word += "_WITH_EXCLUSION"
	}
	return types.ImageTagMutability(word), filters
}

func (c Create) tags() (tags []types.Tag) {
	for k, v := range c.Tags {
		tags = append(tags, types.Tag{Key: &k, Value: &v})
	}
	return tags
}
