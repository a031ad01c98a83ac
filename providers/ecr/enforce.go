package ecr

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/transship/transship/providers"
)

const opEnforce = "set up repository"

// enforce sets what the policy states and the repository has otherwise. Its
// encryption cannot be changed.
func (r *Registry) enforce(ctx context.Context, have types.Repository) error {
	for _, set := range []func(context.Context, types.Repository) error{
		r.enforceMutability, r.enforceScanning, r.enforcePolicies, r.enforceTags,
	} {
		if err := set(ctx, have); err != nil {
			return err
		}
	}
	key := ""
	if e := have.EncryptionConfiguration; e != nil {
		key = aws.ToString(e.KmsKey)
	}
	if want := r.opts.Create.KMSKey; want != "" && want != key {
		r.log.Warn("a repository's encryption cannot be changed once it is made; it has another key than the policy states",
			"host", r.Host(), "repo", aws.ToString(have.RepositoryName))
	}
	return nil
}

func (r *Registry) enforceMutability(ctx context.Context, have types.Repository) error {
	word, filters := r.opts.Create.mutability()
	same := slices.EqualFunc(filters, have.ImageTagMutabilityExclusionFilters, func(a, b types.ImageTagMutabilityExclusionFilter) bool {
		return aws.ToString(a.Filter) == aws.ToString(b.Filter)
	})
	if word == "" || word == have.ImageTagMutability && same {
		return nil
	}
	_, err := call(ctx, r, opEnforce, *have.RepositoryName, &ecr.PutImageTagMutabilityInput{RegistryId: r.registryID(), RepositoryName: have.RepositoryName,
		ImageTagMutability: word, ImageTagMutabilityExclusionFilters: filters}, (*ecr.Client).PutImageTagMutability)
	return err
}

func (r *Registry) enforceScanning(ctx context.Context, have types.Repository) error {
	if !r.opts.Create.ScanOnPush || have.ImageScanningConfiguration != nil && have.ImageScanningConfiguration.ScanOnPush {
		return nil
	}
	_, err := call(ctx, r, opEnforce, *have.RepositoryName, &ecr.PutImageScanningConfigurationInput{RegistryId: r.registryID(), RepositoryName: have.RepositoryName,
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true}}, (*ecr.Client).PutImageScanningConfiguration)
	return err
}

func (r *Registry) enforcePolicies(ctx context.Context, have types.Repository) error {
	lifecycle, policy := r.opts.Create.LifecyclePolicy, r.opts.Create.RepositoryPolicy
	repo := *have.RepositoryName
	if len(lifecycle) > 0 {
		out, err := call(ctx, r, opEnforce, repo, &ecr.GetLifecyclePolicyInput{RegistryId: r.registryID(), RepositoryName: &repo}, (*ecr.Client).GetLifecyclePolicy)
		if err != nil && providers.KindOf(err) != providers.NotFound {
			return err
		}
		if err == nil && sameJSON(lifecycle, aws.ToString(out.LifecyclePolicyText)) {
			lifecycle = nil
		}
	}
	if len(policy) > 0 {
		out, err := call(ctx, r, opEnforce, repo, &ecr.GetRepositoryPolicyInput{RegistryId: r.registryID(), RepositoryName: &repo}, (*ecr.Client).GetRepositoryPolicy)
		if err != nil && providers.KindOf(err) != providers.NotFound {
			return err
		}
		if err == nil && sameJSON(policy, aws.ToString(out.PolicyText)) {
			policy = nil
		}
	}
	return r.putPolicies(ctx, repo, lifecycle, policy)
}

func (r *Registry) enforceTags(ctx context.Context, have types.Repository) error {
	want := r.opts.Create.Tags
	if len(want) == 0 {
		return nil
	}
	out, err := call(ctx, r, opEnforce, *have.RepositoryName, &ecr.ListTagsForResourceInput{ResourceArn: have.RepositoryArn}, (*ecr.Client).ListTagsForResource)
	if err != nil {
		return err
	}
	present := map[string]string{}
	for _, t := range out.Tags {
		present[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	var missing []types.Tag
	for k, v := range want {
		if got, ok := present[k]; !ok || got != v {
			missing = append(missing, types.Tag{Key: &k, Value: &v})
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = call(ctx, r, opEnforce, *have.RepositoryName, &ecr.TagResourceInput{ResourceArn: have.RepositoryArn, Tags: missing}, (*ecr.Client).TagResource)
	return err
}

// sameJSON reports whether two texts say the same.
func sameJSON(a []byte, b string) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}
