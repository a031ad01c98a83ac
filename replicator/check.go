package replicator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/survey"
	"github.com/transship/transship/replicator/transfer"
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
// again. Nothing is written at a registry. State is told which tags are right,
// and forgets what is not there. The error is ctx's cause, a failure of state, or
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

// checkPlan tells what the plan would do as what is wrong now.
func (e *Engine) checkPlan(p plan.Plan) []Failure {
	var list []Failure
	words := map[plan.Why]string{
		plan.New: "the target does not have it", plan.Restore: "the target does not have it",
		plan.Update: "the target has another digest", plan.Overwrite: "the target has another digest",
		plan.Mend: "something below it is missing at the target", plan.Attach: "some of its referrers are missing at the target",
	}
	for _, img := range p.Images {
		for _, t := range img.Tags {
			list = append(list, Failure{Rule: img.Rule, Target: p.Target, Tag: t.Name, Kind: providers.Incomplete,
				Side: transfer.Target, Reason: words[t.Why], Hint: "run transship sync"})
		}
		if len(img.Tags) == 0 {
			list = append(list, Failure{Rule: img.Rule, Target: p.Target, Tag: img.Root.Digest.String(), Kind: providers.Incomplete,
				Side: transfer.Target, Reason: "it, or some of its referrers, are missing at the target", Hint: "run transship sync"})
		}
	}
	for _, k := range p.Kept {
		if k.Kind != plan.LeftSkipped && k.Kind != plan.LeftCooling {
			list = append(list, Failure{Rule: k.Rule, Target: p.Target, Tag: firstOf(k.Tag, k.Ref),
				Kind: kindOfLeft(k.Kind), Reason: k.Reason, Hint: k.Hint})
		}
	}
	return list
}

// checkTarget looks at everything below the tags that have the right digest.
func (e *Engine) checkTarget(ctx context.Context, f plan.Facts, p plan.Plan, deep bool, r *CheckReport) error {
	reg, err := e.opts.Registries(p.Target.Registry)
	if err != nil {
		return nil // the plan says so already
	}
	c := &checker{e: e, reg: reg, place: p.Target, deep: deep, report: r,
		seen: map[v1.Hash]bool{}, lost: map[v1.Hash]string{}}
	var right []string
	for _, found := range p.Found {
		if found.Selection == plan.MergedSelection || found.Selection != "" && found.Selection[0] == '-' {
			continue
		}
		if bad := c.manifest(ctx, found.Digest, 1); bad != "" {
			c.fail(found.Rule, found.Tag, bad)
			r.Right--
			continue
		}
		right = append(right, found.Tag)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return c.tell(ctx, f.At, right)
}

// A checker looks at one target repository; each digest once.
type checker struct {
	e      *Engine
	reg    providers.Registry
	place  plan.Place
	deep   bool
	report *CheckReport

	mu   sync.Mutex
	seen map[v1.Hash]bool
	lost map[v1.Hash]string // what is wrong with it
}

func (c *checker) fail(rule, tag, reason string) {
	c.report.Failures = append(c.report.Failures, Failure{Rule: rule, Target: c.place, Tag: tag,
		Kind: providers.Incomplete, Side: transfer.Target, Reason: reason, Hint: "run transship sync"})
}

// tell gives state what was seen: tags that are right, content that is not there.
func (c *checker) tell(ctx context.Context, at time.Time, right []string) error {
	repo := state.Repo{Host: c.reg.Host(), Name: c.place.Repo}
	if len(right) > 0 && !c.e.opts.ReadOnly {
		if err := c.e.opts.State.Verified(ctx, repo, at, right); err != nil {
			return fmt.Errorf("state: %w", err)
		}
	}
	var gone []v1.Hash
	for d := range c.lost {
		gone = append(gone, d)
	}
	if len(gone) == 0 || c.e.opts.ReadOnly {
		return nil
	}
	slices.SortFunc(gone, func(a, b v1.Hash) int { return cmpString(a.String(), b.String()) })
	if err := c.e.opts.State.Forget(ctx, repo, gone); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// manifest looks at one manifest and what is below it; it returns what is wrong.
// Children that are not there are no fault of an index that may be sparse: the
// plan has judged that.
func (c *checker) manifest(ctx context.Context, digest v1.Hash, depth int) string {
	if c.seen[digest] || depth > providers.MaxDepth {
		return c.lost[digest]
	}
	c.seen[digest] = true
	c.report.Manifests++
	m, err := c.reg.Manifest(ctx, c.place.Repo, digest.String())
	if err != nil {
		return c.lose(digest, fmt.Sprintf("target: %v", err))
	}
	content, err := providers.Parse(m)
	if err != nil {
		return c.lose(digest, fmt.Sprintf("target: %v", err))
	}
	bad := c.blobs(ctx, content)
	for _, child := range content.Children {
		if _, err := c.reg.Head(ctx, c.place.Repo, child.Digest.String()); err != nil {
			if providers.KindOf(err) != providers.NotFound {
				bad = firstOf(bad, fmt.Sprintf("target: %v", err))
			}
			continue
		}
		bad = firstOf(bad, c.manifest(ctx, child.Digest, depth+1))
	}
	if bad != "" {
		c.lost[digest] = bad
	}
	return bad
}

func (c *checker) lose(digest v1.Hash, why string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost[digest] = why
	return why
}

// blobs looks for a manifest's blobs side by side; foreign ones may be elsewhere.
func (c *checker) blobs(ctx context.Context, content providers.Content) string {
	var bad string
	var g errgroup.Group
	g.SetLimit(8)
	for _, d := range content.Blobs() {
		if c.seen[d.Digest] || providers.Foreign(d) {
			bad = firstOf(bad, c.wrong(d.Digest))
			continue
		}
		c.seen[d.Digest] = true
		c.report.Blobs++
		g.Go(func() error {
			if why := c.blob(ctx, d); why != "" {
				c.lose(d.Digest, why)
			}
			return nil
		})
	}
	_ = g.Wait() // its functions never fail
	for _, d := range content.Blobs() {
		bad = firstOf(bad, c.wrong(d.Digest))
	}
	return bad
}

func (c *checker) wrong(digest v1.Hash) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost[digest]
}

func (c *checker) blob(ctx context.Context, d v1.Descriptor) string {
	if c.deep {
		return c.rehash(ctx, d)
	}
	size, err := c.reg.Stat(ctx, c.place.Repo, d.Digest)
	if err != nil {
		return fmt.Sprintf("target: %v", err)
	}
	if d.Size >= 0 && size >= 0 && size != d.Size {
		return fmt.Sprintf("target: blob %s has %d bytes, its manifest says %d", d.Digest, size, d.Size)
	}
	return ""
}

// rehash reads a blob and compares what it is with what it should be.
func (c *checker) rehash(ctx context.Context, d v1.Descriptor) string {
	body, err := c.reg.Open(ctx, c.place.Repo, d, 0)
	if err != nil {
		return fmt.Sprintf("target: %v", err)
	}
	h := sha256.New()
	n, err := io.Copy(h, body)
	err = errors.Join(err, body.Close())
	c.mu.Lock()
	c.report.Bytes += n
	c.mu.Unlock()
	switch got := hex.EncodeToString(h.Sum(nil)); {
	case err != nil:
		return fmt.Sprintf("target: read blob %s: %v", d.Digest, err)
	case d.Digest.Algorithm == "sha256" && got != d.Digest.Hex:
		return fmt.Sprintf("target: blob %s is damaged: its bytes hash to sha256:%s", d.Digest, got)
	}
	return ""
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
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

func (skeptic) SeeSource(context.Context, state.Repo, time.Time, []state.SourceTag) error { return nil }

func (skeptic) ForgetSource(context.Context, state.Repo, []string) error { return nil }

var _ survey.Memory = skeptic{}
