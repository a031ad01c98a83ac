package replicator_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator"
)

// A verdict is what becomes of the tags that a lie is about.
type verdict string

const (
	// heals: they arrive in the same pass, and nothing is told as failed.
	heals verdict = "heals"
	// fails: they stay away, the report says why, and all the rest arrives.
	fails verdict = "fails"
	// stops: nothing can be done about that registry at all, and the report says why.
	stops verdict = "stops"
	// later: the lie cannot be seen at once; the next pass mends what it did.
	later verdict = "later"
	// check: no pass sees it, as that would take a question for each blob; a check
	// does, and the pass after it mends it.
	check verdict = "check"
)

// victim is the repository that lies are about. Its image shares a layer with lib.
const victim = "victim"

// A liar is a world in which one registry lies.
type liar struct {
	*world
	m    *content.Manifest
	side string // src or one
}

func newLiar(t *testing.T, side string) *liar {
	l := &liar{world: newWorld(t, "one", "two"), side: side}
	l.everyKind()
	a := content.Image("va", []content.Blob{content.Layer("base", 300_000), content.Layer("va", 20_000)})
	b := content.Image("vb", []content.Blob{content.Layer("vb", 290_000)})
	l.m = content.Index([]*content.Manifest{a, b})
	content.Refer(l.m, "application/vnd.example.sbom", "of the victim")
	l.load(victim, l.m, "v1")
	l.client = func(_ string, o *oci.Options) {
		o.Timeouts.Idle, o.Timeouts.Header, o.Timeouts.Commit = 2*time.Second, 2*time.Second, 2*time.Second
		o.Retry.Tries = 3
	}
	return l
}

// tagPut is a manifest's PUT under its tag.
const tagPut registrytest.Class = "tag PUT"

// lies has requests of the classes about the victim answered by a fault, so many
// times; 0 is always.
func lies(times int64, f registrytest.Fault, classes ...registrytest.Class) func(*liar) {
	return func(l *liar) {
		var n atomic.Int64
		l.hook.set(func(name string, r *http.Request, class registrytest.Class) *registrytest.Fault {
			about := strings.HasPrefix(r.URL.Path, "/v2/"+victim+"/") || !strings.Contains(r.URL.Path, "/v2/") || strings.Count(r.URL.Path, "/") == 2
			if class == registrytest.ManifestPut && strings.HasSuffix(r.URL.Path, "/v1") && slices.Contains(classes, tagPut) {
				class = tagPut
			}
			if name != l.side || !about || !slices.Contains(classes, class) || times > 0 && n.Add(1) > times {
				return nil
			}
			return &f
		})
	}
}

// is has the whole registry be so.
func is(turn func(*registrytest.Quirks)) func(*liar) {
	return func(l *liar) { l.set(l.side, turn) }
}

// slowly is for lies that take time: clients have little patience.
func slowly(lie func(*liar)) func(*liar) {
	return func(l *liar) {
		l.client = func(_ string, o *oci.Options) {
			o.Timeouts.Idle, o.Timeouts.Header, o.Timeouts.Commit, o.Retry.Tries = idle, idle, idle, 2
		}
		lie(l)
	}
}

// A lie is a row of TestLies.
type lie struct {
	name    string
	side    string
	tell    func(*liar)
	outcome verdict
	says    string // in the reason of a failure; one of several, between bars
	most    int64  // requests to the liar, in all
}

// run tells the lie during one pass and looks at what became of it; then it is over,
// and everything becomes equal.
func (tt lie) run(t *testing.T) {
	l := newLiar(t, tt.side)
	tt.tell(l)
	before, counts := map[string]shot{}, l.counts()
	for _, name := range l.targets {
		before[name] = shoot(l.servers[name])
	}
	p := l.start()
	reports, problems, err := p.pass(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	tt.bounded(l, counts)
	tt.safe(l, before)
	failures := tt.failures(l, reports, problems)
	switch {
	case tt.outcome == heals || tt.outcome == later || tt.outcome == check:
		if failures > 0 {
			t.Errorf("%d failures are told", failures)
		}
	case failures == 0:
		t.Error("no failure is told")
	}
	p.end()
	tt.over(l)
}

// bounded holds the cost of the lie: requests, and bytes from the source.
func (tt lie) bounded(l *liar, before map[string]registrytest.Counts) {
	n := l.since(before)
	if got := n[tt.side].Total(); got > tt.most {
		l.t.Errorf("%d requests to the liar, want at most %d\n%s", got, tt.most, n[tt.side])
	}
	most := int64(4_000_000)
	if strings.Contains(tt.name, "without end") {
		most = 64 << 20 // what is sent before the connection is seen to be closed
	}
	if n["src"].BytesOut > most {
		l.t.Errorf("%d bytes left the source, want at most %d", n["src"].BytesOut, most)
	}
}

// safe holds I1, I2, I3 and I5: nothing incomplete or wrong has a tag, nothing is
// gone, and whatever is not lied about has arrived.
func (tt lie) safe(l *liar, before map[string]shot) {
	for _, name := range l.targets {
		if tt.outcome != check {
			l.complete(name, before[name])
		}
		l.faithful(name)
		l.kept(name, before[name])
		for tag, digest := range l.servers[name].Tags(victim) {
			if !strings.HasPrefix(tag, "sha256-") && digest != l.src().Tags(victim)[tag] && before[name].tags[victim][tag] != digest {
				l.t.Errorf("%s: %s is %s, which the source never had", name, tag, digest)
			}
		}
		lied := tt.side == "src" || tt.side == name
		if lied && tt.outcome == stops {
			continue
		}
		err := l.converged(name, func(repo, _ string) bool { return repo == victim && lied })
		if lied && err != nil && tt.outcome != heals && !strings.Contains(err.Error(), "app") && !strings.Contains(err.Error(), "lib") {
			err = nil // about the victim
		}
		if err != nil {
			l.t.Errorf("the rest did not arrive: %v", err)
		}
	}
}

// failures counts what the reports tell of the lie, and holds it to what people need.
func (tt lie) failures(l *liar, reports []replicator.Report, problems []replicator.Problem) (n int) {
	side := map[string]string{"src": "source", "one": "target"}[tt.side]
	look := func(reason, hint string) {
		n++
		for _, part := range []string{side, l.servers[tt.side].Host(), tt.says} {
			says := func(word string) bool { return strings.Contains(reason, word) }
			if !slices.ContainsFunc(strings.Split(part, "|"), says) {
				l.t.Errorf("the reason does not say %q: %s", part, reason)
			}
		}
		if hint == "" {
			l.t.Errorf("no hint: %s", reason)
		}
	}
	for _, p := range problems {
		look("source: "+p.Reason, p.Hint)
	}
	for _, r := range reports {
		if r.Err != nil {
			look(r.Err.Error(), providers.HintOf(r.Err))
		}
		for _, f := range r.Failures {
			look(f.Reason, f.Hint)
			if f.Target.Repo != victim && tt.outcome != stops {
				l.t.Errorf("it is told of %s: %s", f.Target, f.Reason)
			}
		}
	}
	return n
}

// over ends the lie, and a day later all is equal.
func (tt lie) over(l *liar) {
	l.hook.set(nil)
	l.set(tt.side, func(q *registrytest.Quirks) { *q = registrytest.Quirks{Seed: q.Seed, Auth: q.Auth} })
	l.client = nil
	l.load(victim, l.m, "v1")
	l.skew += 25 * time.Hour
	p := l.start()
	if tt.outcome == check {
		jobs, _, err := p.Expand(context.Background(), p.set.Rules, nil)
		l.must(err)
		for _, job := range jobs {
			_, err := p.Check(context.Background(), job, false)
			l.must(err)
		}
	}
	p.fine()
	l.same()
	p.end()
}
