package survey

import (
	"context"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
	"github.com/transship/transship/state/sqlite"
)

// A bulk registry lists digests, as the clouds do, in one call.
type bulk struct {
	providers.Registry
	server *registrytest.Server
	pushed time.Time
}

func (b bulk) Caps(ctx context.Context) (providers.Caps, error) {
	c, err := b.Registry.Caps(ctx)
	c.BulkDigests, c.TagTimes = true, true
	return c, err
}

func (b bulk) Rows(_ context.Context, repo string) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		byDigest := map[string][]string{}
		for tag, d := range b.server.Tags(repo) {
			byDigest[d.String()] = append(byDigest[d.String()], tag)
		}
		for _, digest := range b.server.Manifests(repo) {
			h, _ := v1.NewHash(digest)
			if !yield(providers.Row{Digest: h, Tags: byDigest[digest], Tagged: b.pushed}, nil) {
				return
			}
		}
	}
}

// A stalled registry lists nothing until it is released.
type stalled struct {
	providers.Registry
	until chan struct{}
}

func (s stalled) Rows(ctx context.Context, repo string) iter.Seq2[providers.Row, error] {
	select {
	case <-s.until:
	case <-ctx.Done():
	}
	return s.Registry.Rows(ctx, repo)
}

// A bench is a source and two targets, read by a survey.
type bench struct {
	*Survey
	t       *testing.T
	servers map[string]*registrytest.Server
	clients map[string]providers.Registry
	state   state.Store
	now     time.Time

	mu   sync.Mutex
	kept map[v1.Hash]int
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, servers: map[string]*registrytest.Server{}, clients: map[string]providers.Registry{}, now: time.Now(), kept: map[v1.Hash]int{}}
	for _, name := range []string{"src", "one", "two"} {
		b.servers[name] = registrytest.New(t, registrytest.Options{})
		c, err := oci.New(oci.Options{Host: b.servers[name].Host(), PlainHTTP: true,
			Retry: oci.Retry{Tries: 2, Min: time.Millisecond, Max: time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		b.clients[name] = c
	}
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	b.state = st
	b.Survey = New(Options{
		State: st, Now: func() time.Time { return b.now }, Patience: time.Millisecond,
		Registries: func(name string) (providers.Registry, error) { return b.clients[name], nil },
		Keep: func(m providers.Manifest) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.kept[m.Digest]++
		},
	})
	return b
}

func (b *bench) job(change func(r *policy.Rule)) Job {
	r := policy.Rule{Name: "all", From: policy.Source{Registry: "src"},
		To: []policy.Target{{Registry: "one"}, {Registry: "two"}}}
	if change != nil {
		change(&r)
	}
	var j Job
	for _, t := range r.To {
		j.Links = append(j.Links, Link{Rule: r, Target: t, From: plan.Place{Registry: "src", Repo: "app"}, To: plan.Place{Registry: t.Registry, Repo: "app"}})
	}
	return j
}

func (b *bench) load(m *content.Manifest, tags ...string) {
	b.t.Helper()
	if err := b.servers["src"].Load("app", m, tags...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) read(job Job) Result {
	b.t.Helper()
	res, err := b.Read(b.t.Context(), job)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range res.Facts {
		if n := plan.Missing(f); !n.Empty() {
			b.t.Errorf("%s: still missing %+v", f.Target.Place, n)
		}
	}
	return res
}

// A bulk listing needs no HEAD for a tag, and shows what untagged manifests
// refer to: each is read once in its life.
func TestBulkListing(t *testing.T) {
	b := newBench(t)
	b.clients["src"] = bulk{b.clients["src"], b.servers["src"], time.Time{}}
	a := content.Image("a", []content.Blob{content.Layer("la", 100)})
	b.load(a, "v1")
	b.load(content.Image("sbom", nil, content.Subject(a)))
	res := b.read(b.job(nil))
	p := plan.Diff(res.Facts[0])
	if len(p.Images) != 1 || len(p.Images[0].Referrers) != 1 {
		t.Fatalf("plan: %s", p)
	}
	n := b.servers["src"].Counts()
	if n.Of(registrytest.ManifestHead, registrytest.Referrers, registrytest.Tags) != 0 || n.Of(registrytest.ManifestGet) != 2 {
		t.Errorf("source:\n%s", n)
	}
	if subjects, err := b.state.Subjects(t.Context(), state.Repo{Host: b.servers["src"].Host(), Name: "app"}, []v1.Hash{p.Images[0].Referrers[0].Digest}); err != nil || len(subjects) != 1 {
		t.Errorf("subjects: %v, %v", subjects, err)
	}
}

// A rule's age counts from the tag's own time where the listing has one.
func TestPushTimes(t *testing.T) {
	b := newBench(t)
	b.clients["src"] = bulk{b.clients["src"], b.servers["src"], b.now.Add(-time.Hour)}
	b.load(content.Image("a", nil), "v1")
	for age, want := range map[time.Duration]int{30 * time.Minute: 1, 2 * time.Hour: 0} {
		res := b.read(b.job(func(r *policy.Rule) { r.Tags.MinAge = policy.Duration(age) }))
		if got := len(res.Facts[0].Wants); got != want {
			t.Errorf("minAge %v: %d wants, want %d (left: %+v)", age, got, want, res.Facts[0].Left)
		}
	}
}

// However many targets look at a source, each manifest is read once.
func TestSourceIsReadOnce(t *testing.T) {
	b := newBench(t)
	a, c := content.Image("a", nil), content.Image("c", nil)
	b.load(content.Index([]*content.Manifest{a, c}), "v1")
	b.load(a, "v2")
	res := b.read(b.job(nil))
	if len(res.Facts) != 2 {
		t.Fatalf("%d facts", len(res.Facts))
	}
	if n := b.servers["src"].Counts(); n.Of(registrytest.ManifestGet) != 3 || n.Of(registrytest.Tags) != 1 || n.Of(registrytest.Referrers) != 2 {
		t.Errorf("source:\n%s", n)
	}
	if len(b.kept) != 3 || slices.Max(slices.Collect(maps.Values(b.kept))) != 1 {
		t.Errorf("kept: %v", b.kept)
	}
}

// A target that does not answer holds back neither the source nor the other target.
func TestSlowTarget(t *testing.T) {
	b := newBench(t)
	slow := stalled{b.clients["two"], make(chan struct{})}
	b.clients["two"] = slow
	b.load(content.Image("a", nil), "v1")
	before := b.servers["src"].Counts()
	done := make(chan Result, 1)
	go func() {
		res, err := b.Read(t.Context(), b.job(nil))
		if err != nil {
			t.Error(err)
		}
		done <- res
	}()
	for b.servers["src"].Counts().Sub(before).Of(registrytest.Referrers) == 0 {
		select {
		case <-t.Context().Done():
			t.Fatal("the source is not read while a target stalls")
		case <-time.After(time.Millisecond):
		}
	}
	close(slow.until)
	if res := <-done; len(res.Facts) != 2 {
		t.Errorf("%d facts", len(res.Facts))
	}
}

// A repository that cannot be listed is told once, for each target.
func TestSourceGone(t *testing.T) {
	b := newBench(t)
	b.servers["src"].Close()
	if _, err := b.Read(t.Context(), b.job(nil)); err == nil {
		t.Error("a source that is not there is no error")
	}
}

// Ended contexts end a survey with their cause.
func TestCancelled(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(context.DeadlineExceeded)
	if _, err := b.Read(ctx, b.job(nil)); err != context.DeadlineExceeded {
		t.Errorf("error %v, want the cause", err)
	}
}

func TestDigestsAndUntagged(t *testing.T) {
	b := newBench(t)
	a, c := content.Image("a", nil), content.Image("c", nil)
	b.load(a, "v1")
	b.load(c)
	res := b.read(b.job(func(r *policy.Rule) {
		r.Tags.Include, r.Tags.Digests = []string{"none"}, []string{c.Digest.String(), content.Image("x", nil).Digest.String()}
	}))
	p := plan.Diff(res.Facts[0])
	if len(p.Images) != 1 || p.Images[0].Root.Digest != c.Digest || len(p.Images[0].Tags) != 0 {
		t.Errorf("plan: %s", p)
	}
	if len(p.Kept) != 1 || p.Kept[0].Kind != plan.LeftSkipped {
		t.Errorf("kept: %+v", p.Kept)
	}
	b.clients["src"] = bulk{b.clients["src"], b.servers["src"], time.Time{}}
	res = b.read(b.job(func(r *policy.Rule) { r.Tags.Include, r.Tags.Untagged = []string{"none"}, true }))
	if p := plan.Diff(res.Facts[0]); len(p.Images) != 1 || p.Images[0].Root.Digest != c.Digest {
		t.Errorf("untagged: %s", p)
	}
}
