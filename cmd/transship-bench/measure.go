package main

import (
	"context"
	"fmt"
	"time"

	"github.com/transship/transship/providers/registrytest"
)

// A side is what one registry saw of a pass, or some together.
type side struct {
	Requests    requests `json:"requests"`
	Failed      int64    `json:"failed"` // of these: answered 400 and above, or broken off
	Bytes       int64    `json:"bytes"`  // of blobs
	Connections int64    `json:"connections"`
	Mounted     int64    `json:"mounted"`
}

// add counts a registry's part; bytes are those that it sent or those that it got.
func (s *side) add(c registrytest.Counts, bytes int64) {
	if s.Requests == nil {
		s.Requests = requests{}
	}
	for class, n := range c.Requests {
		s.Requests[class] += n
	}
	for _, n := range c.Errors {
		s.Failed += n
	}
	s.Bytes += bytes
	s.Connections += c.Connections + c.StorageConnections
	s.Mounted += c.MountsAccepted
}

// A sample is one measured pass of one tool: what it took, and what it came to.
type sample struct {
	usage
	Source   side    `json:"source"`
	Target   side    `json:"target"` // all targets together
	Verdict  verdict `json:"verdict"`
	TimedOut bool    `json:"timedOut,omitempty"`
	Failed   string  `json:"failed,omitempty"` // why nothing was measured
}

// A trial is a run that is to be made.
type trial struct {
	scenario scenario
	corpus   corpus
	tool     tool
	timeout  time.Duration
}

// measure makes a world, has the tool work in it, and takes the world down again.
// The error is ours, not the tool's.
func (t trial) measure(ctx context.Context) (r sample, err error) {
	w, err := openWorld(t.scenario, t.corpus)
	defer func() {
		if closing := w.close(); err == nil {
			err = closing
		}
	}()
	if err != nil {
		return sample{}, err
	}
	if t.tool.realmByName && t.scenario.login() {
		w.nameRealms()
	}
	batches, err := t.batches(w)
	if err != nil {
		return sample{}, err
	}
	if failed, err := t.prepare(ctx, w, batches); failed != "" || err != nil {
		return sample{Failed: failed}, err
	}
	if r, err = t.pass(ctx, w, batches); err != nil {
		return sample{}, err
	}
	w.settle()
	r.count(w)
	r.Verdict = judge(w)
	return r, nil
}

// batches asks the tool what to run.
func (t trial) batches(w *world) ([]batch, error) {
	dir, err := w.folder("tool")
	if err != nil {
		return nil, err
	}
	var to *pointer
	if w.clouds != nil {
		if to, err = w.clouds.point(dir); err != nil {
			return nil, err
		}
	}
	j := job{clouds: to, dir: dir, source: w.source.Host(), repos: t.corpus.repositories(), login: t.scenario.login(), chunks: t.scenario.chunks}
	for _, target := range w.targets {
		j.targets = append(j.targets, target.Host())
	}
	return t.tool.pass(t.tool.path, j)
}

// prepare brings the targets to what is given: by a pass of the tool itself, in
// calm weather, if it remembers its passes, else without a request. failed says
// why that pass did not get there.
func (t trial) prepare(ctx context.Context, w *world, batches []batch) (failed string, err error) {
	if t.scenario.given != nothing {
		if t.tool.remembers && w.clouds != nil { // whose rates make a first copy of 100,000 tags one of hours
			err = w.fill(t.corpus)
		}
		if t.tool.remembers && err == nil {
			failed, err = t.firstPass(ctx, w, batches)
		} else if err == nil {
			err = w.fill(t.corpus)
		}
	}
	if err == nil && t.scenario.given == allButOne {
		err = w.add(added(t.corpus))
	}
	t.scenario.harm.prepare(w, t.corpus)
	w.resetCounts()
	return failed, err
}

func (t trial) firstPass(ctx context.Context, w *world, batches []batch) (failed string, err error) {
	defer w.calm()()
	u, err := runBatches(ctx, batches)
	switch {
	case err != nil:
		return "", err
	case u.Exit != 0:
		return fmt.Sprintf("its first pass ended with exit code %d", u.Exit), nil
	}
	if v := judge(w); !v.Right {
		return "after its first pass: " + v.String(), nil
	}
	return "", nil
}

// pass runs the tool once, or twice if it is killed on the way.
func (t trial) pass(ctx context.Context, w *world, batches []batch) (r sample, err error) {
	limited, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	if t.scenario.harm == killHalfway {
		dying, kill := context.WithCancel(limited)
		go whenHalf(dying, w.source, t.corpus.shape.UniqueBytes, kill)
		r.usage, err = runBatches(dying, batches)
		kill()
		if err != nil {
			return r, err
		}
	}
	u, err := runBatches(limited, batches)
	r.usage = r.plus(u)
	r.TimedOut = limited.Err() != nil && ctx.Err() == nil
	if err == nil {
		err = context.Cause(ctx)
	}
	return r, err
}

// count takes what the registries saw.
func (r *sample) count(w *world) {
	c := w.counts(w.source)
	r.Source.add(c, c.BytesOut)
	for _, target := range w.targets {
		c := w.counts(target)
		r.Target.add(c, c.BytesIn)
	}
}
