package gar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	artifactregistry "cloud.google.com/go/artifactregistry/apiv1"
	pb "cloud.google.com/go/artifactregistry/apiv1/artifactregistrypb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/transship/transship/providers"
)

const (
	opMake    = "make repository"
	opEnforce = "set up repository"
)

// Ensure makes the Artifact Registry repository of repo with the settings of
// Options.Create, if it is not there; images are made by pushes. One that is there
// stays as it is, unless Create.Enforce, and has to be one that takes pushes; that
// somebody else made it at the same time is fine. Whoever may not look leaves it to
// the push to say what is missing. It asks once for each repository, and again if a
// push is told that it is not there.
func (r *Registry) Ensure(ctx context.Context, repo string) error {
	at := r.host.place(repo)
	if at.image == "" {
		return r.fail(opMake, repo, providers.Invalid, errors.New("a path is project/repository/image"), "write more elements into to.repository")
	}
	if r.plain(ctx) {
		return context.Cause(ctx)
	}
	return r.ensured.Do(ctx, at.key(), func(ctx context.Context) error {
		err := r.ensure(ctx, at, repo)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.seen, at.key())
		return err
	})
}

// get asks for a repository.
func (r *Registry) get(ctx context.Context, at place) (*pb.Repository, error) {
	return call(ctx, r, "read repository", "GetRepository", at.key(), func(c *artifactregistry.Client) (*pb.Repository, error) {
		return c.GetRepository(ctx, &pb.GetRepositoryRequest{Name: r.host.resource(at)})
	})
}

func (r *Registry) ensure(ctx context.Context, at place, repo string) error {
	have, err := r.get(ctx, at)
	switch {
	case err == nil:
		if err := r.takesPushes(have, repo); err != nil || !r.opts.Create.Enforce {
			return err
		}
		return r.enforce(ctx, at, have)
	case providers.KindOf(err) == providers.Denied && !r.tokens.isRefused():
		return nil
	case providers.KindOf(err) != providers.NotFound:
		return err
	case r.opts.Create.Never:
		e := r.fail(opMake, repo, providers.NotFound, fmt.Errorf("there is no repository %s in %s, and create.never says not to make it", at.key(), r.host.Location), "make it, or let create do it")
		return e
	}
	return r.create(ctx, at)
}

// takesPushes refuses what is no place for images, or only shows those of others.
func (r *Registry) takesPushes(have *pb.Repository, repo string) error {
	switch {
	case have.GetFormat() != pb.Repository_DOCKER:
		return r.fail(opMake, repo, providers.Unsupported, fmt.Errorf("the repository holds %s, no container images", have.GetFormat()), "write to a repository of the format DOCKER")
	case have.GetMode() == pb.Repository_VIRTUAL_REPOSITORY || have.GetMode() == pb.Repository_REMOTE_REPOSITORY:
		return r.fail(opMake, repo, providers.Unsupported, fmt.Errorf("the repository is a %s, which takes no pushes", have.GetMode()), "write to a standard repository")
	}
	return nil
}

func (r *Registry) create(ctx context.Context, at place) error {
	in := &pb.CreateRepositoryRequest{Parent: r.host.parent(at.project), RepositoryId: at.repository, Repository: r.wanted()}
	op, err := call(ctx, r, opMake, "CreateRepository", at.key(), func(c *artifactregistry.Client) (*artifactregistry.CreateRepositoryOperation, error) {
		return c.CreateRepository(ctx, in)
	})
	e, _ := errors.AsType[*providers.Error](err)
	switch {
	case e != nil && e.Code == "ALREADY_EXISTS": // somebody was faster
		return r.await(ctx, at)
	case e != nil && e.Kind == providers.Denied && r.host.GCR != "" && !r.tokens.isRefused():
		return nil // a push may make it
	case err != nil:
		return err
	case op.Done():
		return nil
	}
	return r.await(ctx, at)
}

// wanted is the repository that the policy describes.
func (r *Registry) wanted() *pb.Repository {
	c := r.opts.Create
	want := &pb.Repository{Format: pb.Repository_DOCKER, Mode: pb.Repository_STANDARD_REPOSITORY, Description: c.Description,
		Labels: c.Labels, KmsKeyName: c.KMSKey, CleanupPolicies: r.cleanup}
	if c.ImmutableTags {
		want.FormatConfig = immutable(true)
	}
	return want
}

func immutable(tags bool) *pb.Repository_DockerConfig {
	return &pb.Repository_DockerConfig{DockerConfig: &pb.Repository_DockerRepositoryConfig{ImmutableTags: tags}}
}

// awaitTime is how long a repository that is being made, by us or others, is waited for.
const awaitTime = 2 * time.Minute

// await waits until a repository is there.
func (r *Registry) await(ctx context.Context, at place) error {
	within, cancel := context.WithTimeoutCause(ctx, awaitTime, errors.New("it is still being made"))
	defer cancel()
	for try := 1; ; try++ {
		_, err := r.get(within, at)
		if err == nil || providers.KindOf(err) != providers.NotFound && context.Cause(within) == nil {
			return err
		}
		select {
		case <-time.After(r.opts.OCI.Retry.WithDefaults().Backoff(min(try, 3))):
			continue
		case <-within.Done():
		}
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return r.fail(opMake, at.key(), providers.Unavailable, context.Cause(within), "look at it in Google's console")
	}
}

// enforce sets what the policy states and the repository has otherwise. Its
// encryption cannot be changed.
func (r *Registry) enforce(ctx context.Context, at place, have *pb.Repository) error {
	c := r.opts.Create
	want := &pb.Repository{Name: r.host.resource(at), Description: c.Description, Labels: maps.Clone(have.GetLabels()), CleanupPolicies: r.cleanup, FormatConfig: immutable(c.ImmutableTags)}
	if want.Labels == nil {
		want.Labels = map[string]string{}
	}
	maps.Copy(want.Labels, c.Labels)
	mask := &fieldmaskpb.FieldMask{}
	for field, differs := range map[string]bool{
		"description":                  c.Description != "" && c.Description != have.GetDescription(),
		"labels":                       !maps.Equal(want.Labels, have.GetLabels()),
		"docker_config.immutable_tags": c.ImmutableTags && !have.GetDockerConfig().GetImmutableTags(),
		"cleanup_policies":             len(r.cleanup) > 0 && !maps.EqualFunc(r.cleanup, have.GetCleanupPolicies(), func(a, b *pb.CleanupPolicy) bool { return proto.Equal(a, b) }),
	} {
		if differs {
			mask.Paths = append(mask.Paths, field)
		}
	}
	if c.KMSKey != "" && c.KMSKey != have.GetKmsKeyName() {
		r.log.Warn("a repository's encryption cannot be changed once it is made; it has another key than the policy states",
			"host", r.Host(), "repo", at.key())
	}
	if len(mask.Paths) == 0 {
		return nil
	}
	_, err := call(ctx, r, opEnforce, "UpdateRepository", at.key(), func(api *artifactregistry.Client) (*pb.Repository, error) {
		return api.UpdateRepository(ctx, &pb.UpdateRepositoryRequest{Repository: want, UpdateMask: mask})
	})
	return err
}
