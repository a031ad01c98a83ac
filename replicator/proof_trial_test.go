package replicator_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator"
)

var (
	oneSeed  = flag.Int64("seed", -1, "run this seed of TestSchedules alone")
	firstOne = flag.Int("first", 0, "the first seed that TestSchedules runs")
	seedsEnd = flag.Int("seeds", replicator.Fewer(120, 8), "the seed before which TestSchedules ends; 10,000 with TRANSSHIP_LONG=1")
)

const batch = 25

// regressions are seeds of schedules that found something; they always run, without
// the race detector. Which fault or test they led to:
var regressions = []uint64{
	20,   // state believes in a referrer that is not there: its fallback index is refused (TestListedReferrerIsBrought)
	45,   // one odd answer of the referrers API is believed for a week (TestOddReferrersAreAskedForAgain)
	1352, // a read is begun for somebody who has given up already (TestNoReadForWhoGaveUp)
	1458, // a mount that lies while an image is mended (TestMountLiesToAMend)
	717,  // a source lists what refers to something else (TestListsOfStrangers)
	1611, // the test wanted back what others had attached to a child and taken away again
	2135, // a repository is lost, and what referred to an old image of it comes back alone (TestNoReferrersOfWhatIsLost)
	2913, // a check looks no further at an image that lacks a fallback index (TestCheckFindsAllAtOnce)
	3189, // the same with an image of which state is that of another world
	2784, // one answer without OCI-Subject is believed for a week (TestOneOddAnswerTeachesNothing)
	2890, // both of these
	3141, // the same
	4632, // the test took for overwritten what others had taken away before
	9544, // a source's API lists what names no subject, and the target's fallback index cannot be put right (TestStrangerIsNotListed)
	5430, // a small blob is given up while it comes, and read again from its start (TestWhatWasAskedForIsKept)
}

// TestSchedules runs random schedules: four repositories, two targets, three
// faults of different kinds, a stop after the n-th request of each faulty pass,
// and what may happen to state and spool in between. After each pass I1, I2, I3,
// I7 and I8 hold; a clean pass converges; one more has nothing to do (I6), and no
// goroutine is left.
//
//	go test ./replicator -run TestSchedules -seed 17 -v
//	TRANSSHIP_LONG=1 go test ./replicator -run TestSchedules -timeout 4h -parallel 6   # 10,000
func TestSchedules(t *testing.T) {
	seeds := *seedsEnd
	if os.Getenv("TRANSSHIP_LONG") == "1" {
		seeds = 10_000
	}
	first, end := *firstOne, seeds
	if *oneSeed >= 0 {
		first, end = int(*oneSeed), int(*oneSeed)+1
	}
	if *oneSeed < 0 && *firstOne == 0 {
		t.Run("regressions", func(t *testing.T) {
			for _, seed := range replicator.Some(3, regressions) {
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					t.Parallel()
					schedule(t, seed)
				})
			}
		})
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
	s := newTrial(t, seed)
	s.begin()
	for range 1 + s.grow.IntN(2) {
		s.faulty()
		s.between()
	}
	s.clean()
	s.unchanged()
	s.secretive()
}

// newTrial starts the registries of a trial, which tells its story if it fails.
func newTrial(t *testing.T, seed uint64) *trial {
	s := &trial{world: newWorld(t, "one", "two"), seed: seed, grow: newGrower(seed), was: map[string]map[v1.Hash]bool{}}
	s.nowRand = rand.New(rand.NewPCG(seed, 2))
	test, _, _ := strings.Cut(t.Name(), "/")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d: %s\nagain: go test ./replicator -run %s -seed %d", seed, s.story(), test, seed)
		}
	})
	return s
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

	proc  *process
	cut   int64    // the source's request at which proc was stopped hard; 0 is never
	wrong []string // blobs that the source, or the spool, has wrong at times

	olds   []string // folders with states of earlier times
	unseen bool     // something is wrong at a target that only a check can see

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
		s.proc, s.cut = s.start(), 0
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
	if s.unlogged() { // the log does not tell which reads the client gave up
		return
	}
	s.readOnce(agent, s.cut, s.wrong...)
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
			if had && s.keeps && name == "two" && !s.was[repo+":"+tag][old] && !s.takenAway.has(name, repo, tag) {
				s.t.Errorf("I3: %s: %s:%s was overwritten although the rule keeps it", name, repo, tag)
			}
		}
	}
}
