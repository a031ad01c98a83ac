package replicator

import (
	"context"
	"fmt"
	"iter"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/survey"
	"github.com/transship/transship/state"
)

// A CheckReport says how complete the replicas of a job are.
type CheckReport struct {
	Key       string    `json:"key"`
	Tags      int       `json:"tags"`      // wanted, over all targets
	Right     int       `json:"right"`     // of these: equal and complete
	Manifests int       `json:"manifests"` // looked at, at the targets
	Blobs     int       `json:"blobs"`
	Bytes     int64     `json:"bytes"` // read and hashed again, of a deep check
	Failures  []Failure `json:"failures,omitempty"`
}

// OK reports whether every replica is complete and equal.
func (r CheckReport) OK() bool { return len(r.Failures) == 0 }

// Check looks whether every replica of job is complete and equal, believing
// nothing that state says of the targets: each wanted tag is resolved there, and
// everything below it is looked for; deep also reads all of it and hashes it
// again. Nothing is written at a registry. State is told which tags are right
// and which are broken, and forgets what is not there, so that the next run
// brings it. The error is ctx's cause, a failure of state, or
// that of a source that could not be read.
func (e *Engine) Check(ctx context.Context, job Job, deep bool) (CheckReport, error) {
	read, err := e.surveyWith(skeptic{e.opts.State}, nil).Read(ctx, job)
	if err != nil {
		return CheckReport{Key: job.Key}, fmt.Errorf("survey: %w", err)
	}
	r := CheckReport{Key: job.Key}
	for _, f := range read.Facts {
		p := plan.Diff(f)
		r.Tags += len(f.Wants)
		r.Right += p.InStep
		r.Failures = append(r.Failures, e.checkPlan(p)...)
		if err := e.checkTarget(ctx, f, p, deep, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

// missed are the words for what the plan would do about a tag.
var missed = map[plan.Why]string{
	plan.New: "the target does not have it", plan.Restore: "the target does not have it",
	plan.Update: "the target has another digest", plan.Overwrite: "the target has another digest",
	plan.Mend: "something below it is missing at the target", plan.Attach: "some of its referrers are missing at the target",
}

// checkPlan tells what the plan leaves as it is.
func (e *Engine) checkPlan(p plan.Plan) []Failure {
	var list []Failure
	for _, k := range p.Kept {
		if k.Kind != plan.LeftSkipped && k.Kind != plan.LeftCooling {
			list = append(list, Failure{Rule: k.Rule, Target: p.Target, Tag: firstOf(k.Tag, k.Ref),
				Kind: kindOfLeft(k), Side: k.Side, Reason: k.Reason, Hint: k.Hint})
		}
	}
	return list
}

// checkTarget looks at everything below and about the tags that have the right
// digest, and at what the target holds of the images that the plan would bring.
func (e *Engine) checkTarget(ctx context.Context, f plan.Facts, p plan.Plan, deep bool, r *CheckReport) error {
	reg, err := e.opts.Registries(p.Target.Registry)
	if err != nil {
		return nil // the plan says so already
	}
	c := newChecker(reg, p.Target, deep, r)
	v := verdicts{at: f.At, broken: map[string]state.TargetTag{}}
	for _, found := range p.Found {
		if found.Marker() {
			continue
		}
		bad := c.image(ctx, found)
		switch row := (state.TargetTag{Name: found.Tag, Rule: found.Rule, Source: found.Source, Digest: found.Digest}); {
		case bad.why != "":
			c.fail(found, bad)
			r.Right--
			if bad.gone {
				v.breaks(row)
			}
		case found.Tag != "":
			v.right = append(v.right, found.Tag)
		}
	}
	repo := state.Repo{Host: reg.Host(), Name: p.Target.Repo}
	for i := range p.Images {
		img := &p.Images[i]
		c.lacking(img, c.held(ctx, img))
		if err := c.believed(ctx, img, func(ds []v1.Hash) (map[v1.Hash]bool, error) { return e.opts.State.Has(ctx, repo, ds) }); err != nil && ctx.Err() == nil {
			return fmt.Errorf("state: %w", err)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	v.take(p)
	v.gone = append(v.gone, c.missing()...)
	return e.tell(ctx, repo, v)
}

// verdicts is what a check has to tell state of one target.
type verdicts struct {
	at     time.Time
	right  []string
	broken map[string]state.TargetTag // as they are if state does not know them; no digest: only if it does
	gone   []v1.Hash
}

// take adds what the plan would do: its tags are not as they should be.
func (v *verdicts) take(p plan.Plan) {
	for _, img := range p.Images {
		row := state.TargetTag{Rule: img.Rule, Source: img.Root.Source, Digest: img.Root.Digest}
		if row.Source.Hex == "" {
			row.Source = row.Digest
		}
		if len(img.Tags) == 0 {
			v.breaks(row)
		}
		for _, t := range img.Tags {
			if t.Why.Puts() {
				v.breaks(state.TargetTag{Name: t.Name})
				continue
			}
			row.Name = t.Name
			v.breaks(row)
		}
	}
}

// breaks notes row as broken. One without a name is of what is wanted by its digest
// alone: it goes by that, and counts while the manifest is not known to be there.
func (v *verdicts) breaks(row state.TargetTag) {
	if row.Name == "" {
		row.Name = row.Digest.String()
		v.gone = append(v.gone, row.Digest)
	}
	v.broken[row.Name] = row
}

// tell gives state what was seen.
func (e *Engine) tell(ctx context.Context, repo state.Repo, v verdicts) error {
	if e.opts.ReadOnly {
		return nil
	}
	rec := state.Record{Repo: repo}
	if err := e.markBroken(ctx, &rec, v.broken); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if len(v.right) > 0 {
		if err := e.opts.State.Verified(ctx, repo, v.at, v.right); err != nil {
			return fmt.Errorf("state: %w", err)
		}
	}
	if len(v.gone) > 0 {
		if err := e.opts.State.Forget(ctx, repo, v.gone); err != nil {
			return fmt.Errorf("state: %w", err)
		}
	}
	if len(rec.Tags) > 0 {
		if err := e.opts.State.Put(ctx, rec); err != nil {
			return fmt.Errorf("state: %w", err)
		}
	}
	return nil
}

// markBroken adds the rows of broken tags to rec: as state knows them, but for
// the selection.
func (e *Engine) markBroken(ctx context.Context, rec *state.Record, broken map[string]state.TargetTag) error {
	if len(broken) == 0 {
		return nil
	}
	for known, err := range e.opts.State.TargetTags(ctx, rec.Repo) {
		if err != nil {
			return err
		}
		if row, is := broken[known.Name]; is && (row.Digest.Hex == "" || row.Digest == known.Digest) {
			broken[known.Name] = known
		}
	}
	for _, row := range broken {
		if row.Digest.Hex != "" {
			row.Selection = plan.BrokenSelection
			rec.Tags = append(rec.Tags, row)
		}
	}
	return nil
}

// A skeptic is a memory that has forgotten everything about targets.
type skeptic struct{ Memory }

func (skeptic) TargetTags(context.Context, state.Repo) iter.Seq2[state.TargetTag, error] {
	return func(func(state.TargetTag, error) bool) {}
}

func (skeptic) Locate(context.Context, string, []v1.Hash, int) (map[v1.Hash][]string, error) {
	return nil, nil
}

func (skeptic) Has(context.Context, state.Repo, []v1.Hash) (map[v1.Hash]bool, error) { return nil, nil }

func (skeptic) Mark(context.Context, state.Repo, string) (state.Mark, error) {
	return state.Mark{}, nil
}

func (skeptic) SetMark(context.Context, state.Repo, string, state.Mark) error { return nil }

func (skeptic) SeeSource(context.Context, state.Repo, time.Time, []state.SourceTag) error { return nil }

func (skeptic) ForgetSource(context.Context, state.Repo, []string) error { return nil }

var _ survey.Memory = skeptic{}
