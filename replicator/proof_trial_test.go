package replicator_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator"
)

var (
	oneSeed  = flag.Int64("seed", -1, "run this seed of TestSchedules alone")
	seedsEnd = flag.Int("seeds", usualSeeds, "how many seeds TestSchedules runs; 10,000 with TRANSSHIP_LONG=1")
)

const batch = 25

// TestSchedules runs random schedules: four repositories, two targets, three
// faults of different kinds, a stop after the n-th request of each faulty pass,
// and what may happen to state and spool in between. After each pass I1, I2, I3,
// I7 and I8 hold; a clean pass converges; one more has nothing to do (I6), and no
// goroutine is left.
//
//	go test ./replicator -run TestSchedules -seed 17 -v
//	TRANSSHIP_LONG=1 go test ./replicator -run TestSchedules -timeout 3h   # 10,000
func TestSchedules(t *testing.T) {
	seeds := *seedsEnd
	if os.Getenv("TRANSSHIP_LONG") == "1" {
		seeds = 10_000
	}
	first, end := 0, seeds
	if *oneSeed >= 0 {
		first, end = int(*oneSeed), int(*oneSeed)+1
	}
	// In batches: a test keeps what its parallel subtests held until it ends.
	for ; first < end; first += batch {
		t.Run(fmt.Sprintf("from %d", first), func(t *testing.T) {
			for seed := first; seed < min(first+batch, end); seed++ {
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					t.Parallel()
					schedule(t, uint64(seed))
				})
			}
		})
	}
	if left := leftBehind(); left != "" {
		t.Errorf("goroutines are left behind:\n%s", left)
	}
}

// schedule runs one of them.
func schedule(t *testing.T, seed uint64) {
	s := &trial{world: newWorld(t, "one", "two"), seed: seed, grow: newGrower(seed), was: map[string]map[v1.Hash]bool{}}
	s.nowRand = rand.New(rand.NewPCG(seed, 2))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d: %s\nagain: go test ./replicator -run TestSchedules -seed %d", seed, s.story(), seed)
		}
	})
	s.begin()
	for range 1 + s.grow.IntN(2) {
		s.faulty()
		s.between()
	}
	s.clean()
	s.unchanged()
	s.secretive()
}

// A trial is one schedule at work.
type trial struct {
	*world
	seed     uint64
	grow     *grower
	nowRand  *rand.Rand // for what happens during a pass
	faults   []fault
	toldCaps bool // clients know what the quirks are
	keeps    bool // target two keeps what others put
	hurried  bool // clients give up early on silence

	proc           *process
	spoil, spoiled bool   // proc found a damaged spool
	wrong          string // a blob that the source has wrong at times

	was map[string]map[v1.Hash]bool // repo:tag -> digests that the source had

	mu    sync.Mutex
	lines []string
}

func (s *trial) tell(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *trial) story() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n    ")
}

var repos = []string{"a/one", "a/two", "b/three", "four"}

// begin fills the source, and the targets with what others may have put there.
func (s *trial) begin() {
	s.drawQuirks()
	s.client = s.configure
	for _, repo := range repos {
		for i := range 1 + s.grow.IntN(4) {
			m := s.grow.manifest(0)
			if s.grow.chance(50) {
				s.grow.refer(m)
			}
			tags := []string{fmt.Sprintf("t%d", i)}
			if s.grow.chance(20) {
				tags = append(tags, fmt.Sprintf("alias%d", i))
			}
			s.put(repo, m, tags...)
			s.attach(repo, m)
			s.foreshadow(repo, m, tags[0])
		}
	}
	if s.keeps = s.grow.chance(25); s.keeps {
		s.rules = strings.Replace(s.rules, "{registry: two}", "{registry: two, onConflict: keep}", 1)
		s.tell("target two keeps what others put")
	}
	s.faults = s.drawFaults()
	for _, f := range s.faults {
		s.tell("fault: %s at %s", f.name, f.side)
	}
}

// configure is how a client of a trial is.
func (s *trial) configure(name string, o *oci.Options) {
	if s.hurried {
		o.Timeouts.Idle, o.Timeouts.Header, o.Timeouts.Commit = idle, 2*idle, 2*idle
	}
	q := s.servers[name].Quirks()
	if q.NoLink {
		o.PageSize = 2
	}
	if s.toldCaps && name != "src" {
		o.Caps.MountNeedsManifest = q.HiddenLayers
		if q.NoReferrers {
			o.Caps.Referrers = providers.No
		}
		if q.NoMount {
			o.Caps.Mount = providers.No
		}
	}
}

// put loads m into the source, and remembers under which tags it was there.
func (s *trial) put(repo string, m *content.Manifest, tags ...string) {
	s.must(s.src().Load(repo, s.grow.note(m), tags...))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tag := range tags {
		if s.was[repo+":"+tag] == nil {
			s.was[repo+":"+tag] = map[v1.Hash]bool{}
		}
		s.was[repo+":"+tag][m.Digest] = true
	}
}

// foreshadow puts into targets what was there before us: the same image, a part
// of it, another image under its tag, or an index without its children.
func (s *trial) foreshadow(repo string, m *content.Manifest, tag string) {
	for _, name := range s.targets {
		to := s.servers[name]
		switch s.grow.IntN(16) {
		case 0:
			s.must(to.Load(repo, m, tag))
		case 1:
			for _, part := range m.All() {
				for _, b := range part.Blobs {
					if s.grow.chance(50) {
						s.must(to.LoadBlob(repo, b))
					}
				}
			}
		case 2:
			s.must(to.Load(repo, s.grow.image(), tag))
			s.tell("%s has another %s:%s", name, repo, tag)
		case 3:
			s.must(to.Load(repo, s.grow.image(), "theirs"))
		case 4:
			if len(m.Children) > 0 {
				s.must(to.LoadManifest(repo, m.Manifest, tag))
				s.tell("%s has %s:%s without what is below", name, repo, tag)
			}
		}
	}
}

// moveTag gives a tag of the source new content, made by r.
func (s *trial) moveTag(r *rand.Rand) {
	g := &grower{Rand: r, seed: s.seed, n: 1_000 + r.IntN(1_000_000), layers: s.grow.layers, sizes: map[string]int64{}}
	m := g.manifest(1)
	repo := repos[r.IntN(len(repos))]
	s.must(s.src().Load(repo, m, "t0"))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.was[repo+":t0"][m.Digest] = true
	for _, part := range m.All() {
		for _, b := range part.Blobs {
			s.grow.sizes[b.Digest.String()] = b.Size
		}
	}
	s.lines = append(s.lines, fmt.Sprintf("%s:t0 moves to %s", repo, m.Digest))
}

// process returns the process at work, or starts one.
func (s *trial) process() *process {
	if s.proc == nil {
		s.proc, s.spoiled = s.start(), s.spoil
		s.spoil = false
	}
	return s.proc
}

// over ends the process at work, and holds it to what a process promises.
func (s *trial) over() {
	if s.proc == nil {
		return
	}
	agent := s.proc.agent
	s.proc.end()
	s.proc = nil
	for _, unseen := range []string{"body long", "a portal's page", "stalled answer", "stalled upload"} {
		if s.has(unseen) { // the log does not tell which reads the client gave up
			return
		}
	}
	if !s.spoiled {
		s.readOnce(agent, s.wrong)
	}
}

// A halt is a way in which a pass is stopped.
type halt string

const (
	none halt = "not at all"
	soft halt = "softly"
	hard halt = "hard"
	kill halt = "by kill -9"
)

var errStopped = errors.New("stopped by the test")

// faulty is a pass with the faults on, and a stop after the n-th request.
func (s *trial) faulty() {
	s.hurried = s.has("stalled answer") || s.has("stalled upload")
	how := []halt{none, soft, hard, kill}[s.grow.IntN(4)]
	n := int64(1 + s.grow.IntN(30)*s.grow.IntN(30))
	events := map[int64]func(){}
	for _, f := range s.faults {
		if f.now != nil {
			events[int64(1+s.grow.IntN(150))] = func() { f.now(s) }
		}
	}

	s.tell("pass with faults, stopped %s after %d requests", how, n)
	p := s.process()
	before := s.shots()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var dead atomic.Bool
	next := s.dir
	stop := func() {
		switch how {
		case soft:
			p.halt()
		case hard:
			cancel(errStopped)
		case kill:
			dead.Store(true)
			next = s.snapshot()
			cancel(errStopped)
		}
	}
	s.turn(true)
	s.watch(n, stop, events, &dead)
	s.run(ctx, p)
	s.hook.set(nil)
	s.turn(false)
	if how != none {
		s.over()
	}
	s.dir = next
	s.hold(before)
}

func (s *trial) has(name string) bool {
	return slices.ContainsFunc(s.faults, func(f fault) bool { return f.name == name })
}

// watch counts requests to all servers together.
func (s *trial) watch(n int64, stop func(), events map[int64]func(), dead *atomic.Bool) {
	var count atomic.Int64
	s.hook.set(func(string, *http.Request, registrytest.Class) *registrytest.Fault {
		if dead.Load() {
			return &registrytest.Fault{Status: 503} // nobody is there any more to ask
		}
		k := count.Add(1)
		if f := events[k]; f != nil {
			f()
		}
		if k == n {
			stop()
		}
		return nil
	})
}

// run is a pass that has to end, whatever happens.
func (s *trial) run(ctx context.Context, p *process) {
	late := time.AfterFunc(time.Minute, func() {
		buf := make([]byte, 4<<20)
		panic(fmt.Sprintf("seed %d: a pass does not end: %s\n\n%s", s.seed, s.story(), buf[:runtime.Stack(buf, true)]))
	})
	defer late.Stop()
	reports, _, err := p.pass(ctx)
	if err != nil && !errors.Is(err, errStopped) {
		s.t.Errorf("pass: %v", err)
	}
	for _, r := range reports {
		s.judge(r)
	}
	s.tell("it ends with %v, %d jobs", err, len(reports))
}

// judge holds what is told of failures to what people need (I5, I7).
func (s *trial) judge(r replicator.Report) {
	if r.Err != nil {
		s.secretive(r.Err.Error())
	}
	for _, f := range r.Failures {
		s.tell("failed: %s:%s: %s: %s", f.Target, f.Tag, f.Kind, f.Reason)
		s.secretive(f.Reason, f.Hint)
		if !strings.Contains(f.Reason, "source") && !strings.Contains(f.Reason, "target") {
			s.t.Errorf("I5: a failure names no side: %s", f.Reason)
		}
	}
}

// turn switches the faults on or off.
func (s *trial) turn(on bool) {
	for _, f := range s.faults {
		s.set(f.side, func(q *registrytest.Quirks) {
			if !on {
				q.Faults, q.GhostTags, q.ReadOnly, q.Full = nil, nil, false, false
				return
			}
			if f.rule != nil {
				q.Faults = append(slices.Clone(q.Faults), *f.rule)
			}
			if f.turn != nil {
				f.turn(q)
			}
		})
		if !on && f.mend != nil {
			f.mend(s)
		}
	}
}

func (s *trial) shots() map[string]shot {
	all := map[string]shot{}
	for _, name := range s.targets {
		all[name] = shoot(s.servers[name])
	}
	return all
}

// hold asserts what holds at any time.
func (s *trial) hold(before map[string]shot) {
	for _, name := range s.targets {
		s.complete(name, before[name])
		s.faithful(name)
		s.kept(name, before[name])
		s.ours(name, before[name])
	}
}

// ours fails if a tag of the target has become something that the source never
// had under it, or if what others put was overwritten against the rule.
func (s *trial) ours(name string, before shot) {
	for _, repo := range repos {
		for tag, digest := range s.servers[name].Tags(repo) {
			old, had := before.tags[repo][tag]
			_, suffix, carries := providers.ReferrerTag(tag)
			if had && old == digest || carries && suffix == "" {
				continue
			}
			if !s.was[repo+":"+tag][digest] {
				s.t.Errorf("I2: %s: %s:%s is %s, which the source never had", name, repo, tag, digest)
			}
			if had && s.keeps && name == "two" && !s.was[repo+":"+tag][old] {
				s.t.Errorf("I3: %s: %s:%s was overwritten although the rule keeps it", name, repo, tag)
			}
		}
	}
}

// excused are tags that may stay as they are: of others, kept by rule or because
// the target lets no tag move.
func (s *trial) excused(name string, before shot) func(repo, tag string) bool {
	return func(repo, tag string) bool {
		old, had := before.tags[repo][tag]
		fixed := s.servers[name].Quirks().Immutable != registrytest.Mutable || s.keeps && name == "two"
		return had && fixed && s.servers[name].Tags(repo)[tag] == old
	}
}

// clean is a pass without faults, a day later: everything has to be equal then.
func (s *trial) clean() {
	s.over()
	s.hurried = false
	s.skew += 25 * time.Hour
	before := s.shots()
	p := s.process()
	s.tell("a clean pass")
	reports, problems, err := p.pass(context.Background())
	if err != nil || len(problems) > 0 {
		s.t.Errorf("clean pass: %v, %v", err, problems)
	}
	for _, r := range reports {
		s.judge(r)
		if r.Err != nil || r.Interrupted {
			s.t.Errorf("clean pass: %s: %v, interrupted %v", r.Key, r.Err, r.Interrupted)
		}
		for _, f := range r.Failures {
			if !s.excused(f.Target.Registry, before[f.Target.Registry])(f.Target.Repo, f.Tag) {
				s.t.Errorf("clean pass: %s:%s: %s", f.Target, f.Tag, f.Reason)
			}
		}
	}
	for _, name := range s.targets {
		if err := s.converged(name, s.excused(name, before[name])); err != nil {
			s.t.Errorf("not equal after a clean pass: %v", err)
		}
	}
	s.hold(before)
}

// unchanged is one more pass, which has nothing to do (I6).
func (s *trial) unchanged() {
	if *oneSeed == 100000 {
	}
	before, counts := s.shots(), s.counts()
	from := map[string]int64{}
	for name, server := range s.servers {
		from[name] = requests(server)
	}
	if _, _, err := s.process().pass(context.Background()); err != nil {
		s.t.Errorf("unchanged pass: %v", err)
	}
	if *oneSeed == 100000 {
	}
	n := s.since(counts)
	s.hold(before)
	s.over()
	fixed := false
	for _, name := range s.targets {
		fixed = fixed || s.servers[name].Quirks().Immutable != registrytest.Mutable
	}
	if fixed {
		return // a tag that cannot be moved is tried again
	}
	for name, c := range n {
		if c.Of(registrytest.ManifestGet) > 0 || c.Writes() > 0 || c.BytesOut > 0 {
			s.t.Errorf("I6: %s was asked this by a pass with nothing to do:\n%s\n%s", name, c, s.needless(name, from[name]))
		}
	}
}

// needless lists the reads and writes that a server was asked for after a request.
func (s *trial) needless(name string, from int64) string {
	var text strings.Builder
	for _, r := range s.servers[name].Log() {
		if r.N > from && r.Class != registrytest.Tags && r.Class != registrytest.ManifestHead && r.Side == registrytest.API {
			fmt.Fprintf(&text, "%.160s\n", r)
		}
	}
	return text.String()
}

func hash(digest string) v1.Hash {
	h, err := v1.NewHash(digest)
	if err != nil {
		panic(err)
	}
	return h
}
