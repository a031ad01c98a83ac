package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state"
)

// An outcome is what a sync has come to.
type outcome struct {
	Done        bool                 `json:"done"` // everything wanted is in step
	Interrupted bool                 `json:"interrupted,omitempty"`
	Took        float64              `json:"seconds"`
	Repos       int                  `json:"repositories"`
	Figures     state.Figures        `json:"figures"`
	Targets     []targetFigures      `json:"targets"`
	Failures    []replicator.Failure `json:"failures,omitempty"`
	Waiting     []waitingFor         `json:"waiting,omitempty"`
	Pulls       []plan.Pulls         `json:"pulls,omitempty"`
	Jobs        []jobFailure         `json:"failedRepositories,omitempty"`
	Problems    []replicator.Problem `json:"problems,omitempty"`
	Notes       []string             `json:"notes,omitempty"`
}

// A jobFailure is a repository that could not be looked at.
type jobFailure struct {
	Repository string         `json:"repository"`
	Error      string         `json:"error"`
	Kind       providers.Kind `json:"kind"`
	Hint       string         `json:"hint,omitempty"`
}

// targetFigures is one target registry's part.
type targetFigures struct {
	Registry string `json:"registry"`
	Images   int64  `json:"images"`
	Failed   int64  `json:"failed"`
	Sent     int64  `json:"bytesSent"`
	Saved    int64  `json:"bytesSaved"`
}

// runAll expands the rules and runs their jobs.
func (p *program) runAll(ctx context.Context, s *session, show *display) (outcome, error) {
	jobs, problems, err := s.jobs(ctx)
	out := outcome{Problems: problems, Repos: len(jobs)}
	if err != nil {
		return out, err
	}
	if err := s.Unable(ctx, "cli", jobs, problems); err != nil {
		return out, err
	}
	reports, err := s.RunAll(ctx, "cli", jobs, nil)
	var late []plan.Slowed
	var waits []replicator.Wait
	var pulls []plan.Pulls
	for _, r := range reports {
		out.Figures.Add(r.Figures)
		out.Failures = append(out.Failures, r.Failures...)
		out.Interrupted = out.Interrupted || r.Interrupted
		late, waits, pulls = append(late, r.Slowed...), append(waits, r.Waiting...), append(pulls, r.Pulls...)
		if r.Err != nil && !errors.Is(r.Err, transfer.ErrInterrupted) && ctx.Err() == nil {
			out.Jobs = append(out.Jobs, jobFailure{Repository: repositoryOf(r.Key), Error: r.Err.Error(),
				Kind: providers.KindOf(r.Err), Hint: providers.HintOf(r.Err)})
		}
	}
	out.Interrupted = out.Interrupted || ctx.Err() != nil
	out.Notes = append(idle(jobs, reports), slowed(late)...)
	if out.Waiting = waitsOf(waits); len(waits) > 0 {
		out.Pulls = plan.SumPulls(pulls)
		out.Notes = append(out.Notes, pullNotes(out.Pulls)...)
	}
	for _, g := range show.meter.gauges() {
		out.Targets = append(out.Targets, targetFigures{g.name, g.ended.Load() - g.failed.Load(), g.failed.Load(), g.bytesSent.Load(), g.saving.Load()})
	}
	out.Done = err == nil && !out.Interrupted && len(out.Failures)+len(out.Waiting)+len(out.Jobs)+len(out.Problems) == 0
	return out, err
}

// nothing reports whether nothing is wanted of what was looked at.
func (o outcome) nothing() bool {
	f := o.Figures
	return !o.Interrupted && len(o.Problems)+len(o.Jobs)+len(o.Failures)+len(o.Waiting) == 0 && f.Copied+f.InStep+f.Kept+f.Failed+f.Manifests == 0
}

// shut reports whether nothing could be done at all: nothing is in step, and what
// failed are whole repositories, not items of them.
func (o outcome) shut() bool {
	f := o.Figures
	return f.Copied+f.InStep+f.Kept+f.Manifests+f.Waiting == 0 && !slices.ContainsFunc(o.Failures, func(f replicator.Failure) bool {
		return f.Tag != wholeRepository
	})
}

// idle tells of rules that were looked at whole and want nothing: most often that
// is a mistake in their tags.
func idle(jobs []replicator.Job, reports []replicator.Report) (notes []string) {
	wanted := map[string]bool{}
	for i, r := range reports {
		for _, l := range jobs[i].Links {
			wanted[l.Rule.Name] = wanted[l.Rule.Name] || r.Err != nil || r.Interrupted || r.ByRule[l.Rule.Name].Tags > 0
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if !wanted[name] {
			notes = append(notes, fmt.Sprintf("rule %s takes no tag of any repository; to see why: transship plan --explain REGISTRY/REPOSITORY:TAG", name))
		}
	}
	return notes
}

// verdict turns an outcome into the error that has its exit code.
func (p *program) verdict(out outcome, err error) error {
	switch {
	case out.Interrupted:
		return &failure{code: exitFailed, err: errInterrupted, hint: "run the same command again: it goes on where it stopped"}
	case err != nil:
		return err
	case out.Done:
		return nil
	case out.shut():
		return &failure{code: exitFailed}
	default:
		return &failure{code: exitSomeLeft}
	}
}

func (p *program) writeOutcome(out outcome) error {
	if p.json() {
		return p.writeJSON(out)
	}
	p.writeTrouble(out.Problems, out.Jobs, out.Failures)
	p.writeWaits(out.Waiting)
	for _, note := range out.Notes {
		fmt.Fprintf(p.stderr, "note: %s\n", note)
	}
	f := out.Figures
	p.printf("%s in %s: %s, %d in step, %d failed, %d kept as they are",
		count(out.Repos, "repository"), time.Duration(out.Took*float64(time.Second)).Round(10*time.Millisecond),
		put(f), f.InStep, f.Failed, f.Kept)
	if f.Waiting > 0 {
		p.printf(", %d waiting", f.Waiting)
	}
	if n := len(out.Jobs); n > 0 {
		p.printf("; %s given up", count(n, "repository"))
	}
	p.printf("\n")
	if f.BytesRead+f.BytesSent+f.BytesSaved > 0 {
		p.printf("read %s, sent %s, not sent %s (%s sent, %d mounted, %d there already)\n",
			plan.Bytes(f.BytesRead), plan.Bytes(f.BytesSent), plan.Bytes(f.BytesSaved), count(int(f.BlobsSent), "blob"), f.Mounted, f.Present)
	}
	if f.Imported > 0 {
		p.printf("%s imported by targets, %s past us\n", count(int(f.Imported), "image"), plan.Bytes(f.BytesImported))
	}
	return nil
}

// put says what was put: tags, or what came by digest alone.
func put(f state.Figures) string {
	if f.Copied == 0 && f.Manifests > 0 {
		return count(int(f.Manifests), "manifest") + " put by digest"
	}
	return count(int(f.Copied), "tag") + " put"
}
