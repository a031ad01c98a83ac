package replicator

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

// An Adopted is a tag of a target that counts as ours from now on.
type Adopted struct {
	Target plan.Place `json:"target"`
	Tag    string     `json:"tag"`
	Digest v1.Hash    `json:"digest"`
}

// Adopt records the digests that the targets' wanted tags have now as ours, so
// that what differs from the source is an update and no conflict. Tags that state
// knows with that digest are left as they are. It returns what was recorded, by
// target and tag; nothing is written at a registry.
func (e *Engine) Adopt(ctx context.Context, job Job) ([]Adopted, error) {
	job.Whole = true
	read, err := e.survey.Read(ctx, job)
	if err != nil {
		return nil, fmt.Errorf("survey: %w", err)
	}
	var all []Adopted
	for _, f := range read.Facts {
		some, err := e.adopt(ctx, f)
		all = append(all, some...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func (e *Engine) adopt(ctx context.Context, f plan.Facts) ([]Adopted, error) {
	reg, err := e.opts.Registries(f.Target.Place.Registry)
	if err != nil {
		return nil, err
	}
	rec := state.Record{Repo: state.Repo{Host: reg.Host(), Name: f.Target.Place.Repo}}
	var list []Adopted
	for _, w := range f.Wants {
		digest, err := presentDigest(ctx, reg, f.Target, w.Tag)
		if err != nil {
			return nil, fmt.Errorf("target: %w", err)
		}
		if digest.Hex == "" || f.Target.Ours[w.Tag].Digest == digest {
			continue
		}
		rec.Tags = append(rec.Tags, state.TargetTag{Name: w.Tag, Rule: w.Rule.Name, Digest: digest})
		list = append(list, Adopted{Target: f.Target.Place, Tag: w.Tag, Digest: digest})
	}
	if len(rec.Tags) == 0 {
		return nil, nil
	}
	if err := e.opts.State.Put(ctx, rec); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	return list, nil
}

// presentDigest returns the digest of the target's tag, zero if it has none.
func presentDigest(ctx context.Context, reg providers.Registry, t plan.Target, tag string) (v1.Hash, error) {
	digest, listed := t.Tags[tag]
	if tag == "" || t.Absent || t.Ghosts[tag] || t.Listed && !listed || digest.Hex != "" {
		return digest, nil
	}
	d, err := reg.Head(ctx, t.Place.Repo, tag)
	if providers.KindOf(err) == providers.NotFound {
		return v1.Hash{}, nil
	}
	return d.Digest, err
}
