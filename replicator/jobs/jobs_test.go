package jobs

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/dockerhub"
	"github.com/transship/transship/providers/dockerhub/dockerhubtest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

const one = `  - {name: apps, from: {registry: src}, to: [{registry: dst}]}
`

// TestRule holds that a rule that is asked for has all its jobs run, as one pass
// that says what they came to, and that asking again is a pass that writes nothing.
func TestRule(t *testing.T) {
	r := newRig(t, one)
	r.load("a", "v1", "v2")
	r.load("b", "v1")
	r.ask(state.Ask{Key: ExpandKey("apps"), Cause: BySchedule})
	r.start()
	r.idle()
	r.equal()
	p := r.pass("apps")
	if p.Outcome != state.Succeeded || p.Trigger != BySchedule || p.Jobs != 2 || p.Ran != 2 || p.Figures.Copied != 3 || p.Ended.Before(p.Started) {
		t.Errorf("pass %+v", p)
	}
	writes := r.dst.Counts().Requests[registrytest.ManifestPut]
	r.ask(state.Ask{Key: ExpandKey("apps"), Cause: ByAPI})
	r.until("another pass", func() bool { return r.pass("apps").ID != p.ID })
	r.idle()
	if again := r.pass("apps"); again.Trigger != ByAPI || again.Figures.InStep != 3 || again.Outcome != state.Succeeded {
		t.Errorf("pass %+v", again)
	}
	if n := r.dst.Counts().Requests[registrytest.ManifestPut]; n != writes {
		t.Errorf("%d manifests were put again", n-writes)
	}
}

// TestSmallFirst holds that what is small is run before what is large, as far as
// it is known.
func TestSmallFirst(t *testing.T) {
	r := newRig(t, one)
	r.load("a-large", "v1", "v2", "v3")
	r.load("b-small", "v1")
	stop := r.start()
	r.ask(state.Ask{Key: ExpandKey("apps")})
	r.until("the first pass", func() bool { return r.copied("a-large")+r.copied("b-small") == 4 })
	r.idle()
	stop()
	r.report = nil
	r.ask(state.Ask{Key: ExpandKey("apps")})
	r.start(func(o *Options) { o.Workers = 1 })
	r.until("two runs", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.report) == 2 })
	if !strings.Contains(r.report[0].Key, "b-small") {
		t.Errorf("first was %s", r.report[0].Key)
	}
}

// TestOutsideWindow holds that outside a rule's windows it waits for the next one,
// as one row, and that who asks by hand does not.
func TestOutsideWindow(t *testing.T) {
	r := newRig(t, `  - {name: apps, windows: ["`+outside(2)+`"], from: {registry: src}, to: [{registry: dst}]}
`)
	r.load("a", "v1")
	r.start()
	r.ask(state.Ask{Key: ExpandKey("apps"), Cause: BySchedule})
	r.ask(state.Ask{Key: ExpandKey("apps"), Cause: ByEvent, Priority: PriorityEvent})
	opening := func() time.Duration {
		rows, err := r.store.Queue(t.Context())
		if err != nil || len(rows) != 1 || rows[0].Running {
			return 0
		}
		return time.Until(rows[0].NotBefore)
	}
	r.until("put off", func() bool { return opening() > 50*time.Minute && opening() < 2*time.Hour })
	if n := r.src.Counts().Total(); n != 0 {
		t.Errorf("%d requests outside the window", n)
	}
	r.ask(state.Ask{Key: ExpandKey("apps"), Cause: ByAPI, Priority: PriorityByHand})
	r.idle()
	r.equal()
}

// TestWindowCloses holds that at the close no further image is begun, the one in
// flight comes to its end, and the rest is there for the next window, in the same
// pass.
func TestWindowCloses(t *testing.T) {
	now := time.Now()
	r := newRig(t, `  - {name: apps, windows: ["`+now.Format("15:04")+"-"+now.Add(time.Hour).Format("15:04")+`"], from: {registry: src}, to: [{registry: dst}]}
`)
	r.load("a", "v1", "v2", "v3")
	held, letGo := r.hold()
	close := make(chan func(), 1)
	r.ask(state.Ask{Key: ExpandKey("apps"), Cause: BySchedule})
	r.start(func(o *Options) {
		o.after = func(d time.Duration, f func()) *time.Timer {
			if d < 50*time.Minute || d > time.Hour {
				t.Errorf("the window closes in %s", d)
			}
			close <- f
			return time.NewTimer(d)
		}
	})
	<-held
	r.setShift(2 * time.Hour)
	(<-close)()
	letGo()
	r.until("the rest to be put off", func() bool { return r.queue() == "run/src/a" })
	if n := r.copied("a"); n != 1 {
		t.Errorf("%d images, want the one that was in flight", n)
	}
	if p := r.pass("apps"); p.Outcome != state.Running {
		t.Errorf("the pass is %s", p.Outcome)
	}
	r.ask(state.Ask{Key: "run/src/a", Cause: ByAPI, Priority: PriorityByHand})
	r.idle()
	r.equal()
	if p := r.pass("apps"); p.Outcome != state.Succeeded || p.Ran != 1 {
		t.Errorf("the pass is %+v", p)
	}
}

// TestFailureComesBack holds that what may pass is tried again, with its attempts
// counted, and what a person has to mend is not.
func TestFailureComesBack(t *testing.T) {
	r := newRig(t, one)
	r.load("a", "v1")
	r.dst.Next(1000, registrytest.ManifestPut, registrytest.Fault{Status: 500, Code: "UNKNOWN", Message: "out of order"})
	r.start()
	r.ask(state.Ask{Key: ExpandKey("apps"), Cause: BySchedule})
	r.until("a failed run", func() bool { return r.queue() == "run/src/a attempt 1" })
	rows, err := r.store.Queue(t.Context())
	if err != nil || !strings.Contains(rows[0].Error, "out of order") || time.Until(rows[0].NotBefore) > firstRetry {
		t.Errorf("row %+v, %v", rows, err)
	}
	if p := r.pass("apps"); p.Outcome != state.Partly || p.Figures.Failed != 1 {
		t.Errorf("pass %+v", p)
	}
}

// TestSourceAllowsNoMore holds that what waits for its source's allowance goes back
// without a lost attempt, until there may be more, and that its pass says so.
func TestSourceAllowsNoMore(t *testing.T) {
	hub := dockerhubtest.New(t, dockerhubtest.Options{Quirks: func(q *dockerhubtest.Quirks) { q.Pulls = 4 }})
	r := newRig(t, one)
	r.src, r.source = hub.Server, func() providers.Registry {
		reg, err := dockerhub.New(dockerhub.Options{API: hub.API(), OCI: oci.Options{Host: hub.Host(), PlainHTTP: true}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { reg.Close() })
		return reg
	}
	const rule = `  - {name: apps, from: {registry: src, repositories: {include: ["acme/**"]}}, to: [{registry: dst}]}
`
	r.use(rule)
	r.load("acme/app", "v1", "v2", "v3", "v4", "v5")
	r.start()
	r.ask(state.Ask{Key: ExpandKey("apps"), Cause: BySchedule})
	wait := func() time.Duration {
		rows, err := r.store.Queue(t.Context())
		if err != nil || len(rows) != 1 || rows[0].Running || rows[0].Key != "run/src/acme/app" {
			return 0
		}
		return time.Until(rows[0].NotBefore)
	}
	r.until("put off", func() bool { return wait() > 5*time.Hour })
	if got := r.queue(); got != "run/src/acme/app" || wait() > 6*time.Hour+time.Second {
		t.Errorf("queue %s, in %v", got, wait())
	}
	p := r.pass("apps")
	if p.Outcome != state.Waited || p.Figures.Waiting != 2 || p.Figures.Failed != 0 || r.copied("acme/app") != 3 {
		t.Errorf("%d copied, pass %+v", r.copied("acme/app"), p)
	}
	hub.PassTime(6 * time.Hour)
	r.use(rule)
	r.ask(state.Ask{Key: "run/src/acme/app", Cause: ByAPI, Priority: PriorityByHand})
	r.idle()
	r.equal()
}

// TestPersonHasToAct holds that a refusal is not tried again by itself.
func TestPersonHasToAct(t *testing.T) {
	r := newRig(t, one)
	r.load("a", "v1")
	r.dst.Next(1000, registrytest.ManifestPut, registrytest.Fault{Status: 403, Code: "DENIED", Message: "not you"})
	r.start()
	r.ask(state.Ask{Key: ExpandKey("apps"), Cause: BySchedule})
	r.until("the end of the pass", func() bool { return r.queue() == "" && r.pass("apps").Outcome != state.Running })
	if p := r.pass("apps"); p.Outcome != state.Partly || p.Figures.Failed != 1 {
		t.Errorf("pass %+v", p)
	}
}

// TestListFails holds that a rule whose repositories cannot be listed has a failed
// pass with the reason, and comes back.
func TestListFails(t *testing.T) {
	r := newRig(t, one)
	r.src.Next(1000, registrytest.Catalog, registrytest.Fault{Status: 500, Code: "UNKNOWN", Message: "out of order"})
	r.start()
	r.ask(state.Ask{Key: ExpandKey("apps"), Cause: BySchedule})
	r.until("a failed run", func() bool { return r.queue() == "expand/apps attempt 1" })
	if p := r.pass("apps"); p.Outcome != state.FailedWhole || !strings.Contains(p.Error, "out of order") {
		t.Errorf("pass %+v", p)
	}
}

// TestStop holds that a soft stop gives back what it breaks off without a lost
// attempt, and that the next process goes on with it: each layer leaves the source
// once.
func TestStop(t *testing.T) {
	r := newRig(t, one)
	r.load("a", "v1", "v2", "v3")
	held, letGo := r.hold()
	stop := r.start()
	r.ask(state.Ask{Key: ExpandKey("apps"), Cause: BySchedule})
	<-held
	close(r.soft)
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	letGo()
	<-stopped
	if q := r.queue(); q != "run/src/a" {
		t.Errorf("queue %q", q)
	}
	if n := r.copied("a"); n >= 3 {
		t.Errorf("%d images were copied in spite of the stop", n)
	}
	r.soft = make(chan struct{})
	r.use(one)
	r.start()
	r.idle()
	r.equal()
	if p := r.pass("apps"); p.Outcome != state.Succeeded || p.Ran != 1 {
		t.Errorf("pass %+v", p)
	}
}

// TestGraceIsOver holds that what does not come to its end in time is cancelled and
// given back.
func TestGraceIsOver(t *testing.T) {
	r := newRig(t, one)
	r.load("a", "v1")
	held, _ := r.hold()
	stop := r.start(func(o *Options) { o.Grace = 10 * time.Millisecond })
	r.ask(state.Ask{Key: ExpandKey("apps"), Cause: BySchedule})
	<-held
	stop()
	if q := r.queue(); q != "run/src/a" {
		t.Errorf("queue %q", q)
	}
}

// TestHardStop holds that a second stop cancels what runs, and it is given back.
func TestHardStop(t *testing.T) {
	r := newRig(t, one)
	r.load("a", "v1")
	held, _ := r.hold()
	byHand := errors.New("stopped by hand")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	r.ask(state.Ask{Key: ExpandKey("apps"), Cause: BySchedule})
	told := make(chan replicator.Report, 1)
	go func() {
		done <- New(Options{Store: r.store, Current: r.current,
			Done: func(_ string, r replicator.Report, _ time.Duration, _ error) { told <- r }}).Run(ctx, nil)
	}()
	<-held
	cancel(byHand)
	if err := <-done; !errors.Is(err, byHand) {
		t.Errorf("ended with %v", err)
	}
	if r := <-told; !r.Interrupted {
		t.Errorf("a job that was stopped counts as failed: %+v", r)
	}
	if q := r.queue(); q != "run/src/a" {
		t.Errorf("queue %q", q)
	}
}

// TestPolicyChanges holds that rows of a rule that is gone, or that leads elsewhere
// now, come to nothing, and end their pass.
func TestPolicyChanges(t *testing.T) {
	for name, rules := range map[string]string{
		"gone":      `  - {name: other, paused: true, from: {registry: src}, to: [{registry: dst}]}`,
		"paused":    `  - {name: apps, paused: true, from: {registry: src}, to: [{registry: dst}]}`,
		"elsewhere": `  - {name: apps, from: {registry: src}, to: [{registry: dst, repository: "mirror/{{.Repository}}"}]}`,
		"excluded":  `  - {name: apps, from: {registry: src, repositories: {exclude: [a]}}, to: [{registry: dst}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, one)
			r.load("a", "v1")
			jobs, _, err := r.engine.ExpandRule(t.Context(), r.set.Rules[0])
			if err != nil || len(jobs) != 1 {
				t.Fatal(jobs, err)
			}
			if _, err := r.store.BeginJobs(t.Context(), state.Pass{Rule: "apps", Started: time.Now()}, []string{jobs[0].Key}); err != nil {
				t.Fatal(err)
			}
			r.ask(state.Ask{Key: jobs[0].Key, Detail: detailOf(jobs[0], "")})
			if name != "excluded" {
				r.ask(state.Ask{Key: ExpandKey("nobody")})
			}
			r.use(rules + "\n")
			r.start()
			r.idle()
			if p := r.pass("apps"); p.Outcome != state.Interrupted {
				t.Errorf("pass %+v", p)
			}
			if n := r.dst.Counts().Total(); n != 0 {
				t.Errorf("%d requests at the target", n)
			}
		})
	}
}

// TestUnknownKey holds that a row of another program, or of a later one, is dropped.
func TestUnknownKey(t *testing.T) {
	r := newRig(t, one)
	r.ask(state.Ask{Key: "dance/apps"})
	r.ask(state.Ask{Key: "run/what", Detail: "}{"})
	r.start()
	r.idle()
}

// TestPlaces holds that of two jobs with a common target one has it at a time, and that
// others go beside them.
func TestPlaces(t *testing.T) {
	p := places{held: map[string]bool{}}
	job := func(repos ...string) (j replicator.Job) {
		for _, repo := range repos {
			j.Links = append(j.Links, replicator.Link{To: plan.Place{Registry: "dst", Repo: repo}})
		}
		return j
	}
	release, free := p.hold(job("a", "b", "a"))
	other, also := p.hold(job("c"))
	if !free || !also {
		t.Fatal("what nobody has is not free")
	}
	busy := func() bool {
		r, free := p.hold(job("b", "c"))
		if free {
			r()
		}
		return !free
	}
	if !busy() {
		t.Error("two jobs have one target")
	}
	if release(); !busy() {
		t.Error("two jobs have the other target")
	}
	if other(); busy() || len(p.held) != 0 {
		t.Errorf("still held: %v", p.held)
	}
}

func TestRetryIn(t *testing.T) {
	for attempt, want := range map[int]time.Duration{0: 30 * time.Second, 1: time.Minute, 5: 16 * time.Minute, 6: 30 * time.Minute, 1000: 30 * time.Minute} {
		if got := retryIn(attempt); got != want {
			t.Errorf("attempt %d waits %s, want %s", attempt, got, want)
		}
	}
	report := replicator.Report{Failures: []replicator.Failure{{Kind: providers.Denied}, {Kind: providers.Quota}}}
	if err := mayPass(report); err != nil {
		t.Errorf("what a person has to mend is tried again: %v", err)
	}
	report.Failures = append(report.Failures, replicator.Failure{Kind: providers.Throttled, Reason: "slowly"})
	if err := mayPass(report); err == nil || !strings.Contains(err.Error(), "1 of 3") || errors.Is(err, nil) {
		t.Errorf("failure %v", err)
	}
}

// A deafStore fails to hear of jobs for a while, as one does whose disk is full.
type deafStore struct {
	state.Store
	left atomic.Int32 // times that it fails
}

func (s *deafStore) EndJob(ctx context.Context, r state.JobRun) ([]state.Pass, error) {
	if s.left.Add(-1) >= 0 {
		return nil, state.ErrFull
	}
	return s.Store.EndJob(ctx, r)
}

// TestPassIsToldLater holds that a pass comes to its end also where state would not
// hear of its job at once.
func TestPassIsToldLater(t *testing.T) {
	r := newRig(t, one)
	r.load("a", "v1")
	deaf := &deafStore{Store: r.store}
	deaf.left.Store(1)
	r.start(func(o *Options) { o.Store = deaf })
	r.ask(state.Ask{Key: ExpandKey("apps"), Cause: BySchedule})
	r.until("the job runs", func() bool { return r.copied("a") == 1 })
	r.idle()
	if p := r.pass("apps"); p.Outcome != state.Succeeded || p.Figures.Copied != 1 {
		t.Errorf("pass %+v", p)
	}
}

// TestTooLongToKeep holds that a job of which the queue cannot keep what it is does not
// hold up the others of its rule, and leaves no pass that never ends.
func TestTooLongToKeep(t *testing.T) {
	long := strings.Repeat("long/", 40) + "name"
	for _, tt := range []struct {
		most   int
		copied int
		want   state.Outcome
	}{{300, 1, state.Succeeded}, {1, 0, state.FailedWhole}} {
		r := newRig(t, one)
		r.load("a", "v1")
		r.load(long, "v1")
		r.start(func(o *Options) { o.mostDetail = tt.most })
		r.ask(state.Ask{Key: ExpandKey("apps"), Cause: BySchedule})
		r.idle()
		if got := r.copied("a"); got != tt.copied || r.copied(long) != 0 {
			t.Errorf("at most %d bytes: %d and %d tags copied, want %d and none", tt.most, got, r.copied(long), tt.copied)
		}
		if p := r.pass("apps"); p.Outcome != tt.want || tt.want == state.FailedWhole && !strings.Contains(p.Error, "more than the queue keeps") {
			t.Errorf("at most %d bytes: pass %+v", tt.most, p)
		}
	}
}

// TestTargetInUse holds that a job whose target another one has takes no worker while it
// waits, and runs once that is over.
func TestTargetInUse(t *testing.T) {
	r := newRig(t, one)
	r.load("a", "v1")
	r.load("b", "v1")
	held, letGo := r.hold()
	jobs, _, err := r.engine.ExpandRule(t.Context(), r.set.Rules[0])
	if err != nil || len(jobs) != 2 {
		t.Fatal(jobs, err)
	}
	a, b := jobs[0], jobs[1]
	r.start(func(o *Options) { o.Workers = 2 })
	r.ask(state.Ask{Key: a.Key, Detail: detailOf(a, ""), Priority: PriorityByHand})
	<-held
	r.ask(state.Ask{Key: runPrefix + "again", Detail: detailOf(a, ""), Priority: PriorityByHand})
	r.until("the other has seen that its target is in use", func() bool { return r.putOff(runPrefix+"again") && r.queue() == runPrefix+"again; "+a.Key+" running" })
	r.ask(state.Ask{Key: b.Key, Detail: detailOf(b, "")})
	r.until("the next one runs", func() bool { return strings.Contains(r.queue(), b.Key+" running") })
	letGo()
	r.idle()
	r.equal()
	if keys := r.ran(); !slices.Equal(keys, []string{runPrefix + "again", a.Key, b.Key}) {
		t.Errorf("ran %v", keys)
	}
}
