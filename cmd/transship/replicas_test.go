//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/state"
	"github.com/transship/transship/state/postgres"
	"github.com/transship/transship/state/postgres/pgtest"
	"github.com/transship/transship/state/statetest/needs"
)

var (
	replicasSeed = flag.Uint64("replicas-seed", 0, "seed of the tests of replicas; 0 is the time")
	replicasTime = flag.Duration("replicas-time", 0, "how long replicas are killed; 0 is 20s, or 10m with TRANSSHIP_LONG=1")
)

// settle bounds how long replicas may take once the source stands still and nothing
// is killed any more.
const settle = 2 * time.Minute

const replicasRules = `
rules:
  - name: ab
    schedule: "@every 1s"
    from: {registry: src, repositories: {include: [team/a, team/b]}}
    to: [{registry: one}, {registry: two}]
  - name: bcd
    schedule: "@every 2s"
    from: {registry: src, repositories: {include: [team/b, team/c, team/d]}}
    to: [{registry: one}, {registry: two}]
  - name: base
    schedule: "@every 1s"
    from: {registry: src, repositories: {include: ["base/*"]}}
    to: [{registry: two}, {registry: one}]
  - name: all
    schedule: "@every 3s"
    from: {registry: src}
    to: [{registry: one}, {registry: two}]
`

// repos are the source's.
var repos = []string{"team/a", "team/b", "team/c", "team/d", "base/x", "base/y"}

// A fleet is replicas of the program on one database, one source and two targets.
type fleet struct {
	t        *testing.T
	cluster  *pgtest.Cluster
	state    string // its address
	servers  map[string]*registrytest.Server
	watch    *observer
	replicas []*replica
	rand     *rand.Rand

	mu    sync.Mutex
	sizes map[string]int64 // of the source's blobs, by digest
	bases map[string]bool  // those that several repositories have
}

// newFleet starts everything but the replicas.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	needs.Tool(t, "postgres")
	seed := *replicasSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test ./cmd/transship -run %s -replicas-seed %d", t.Name(), seed)
	f := &fleet{t: t, cluster: pgtest.Start(t), servers: map[string]*registrytest.Server{},
		rand: rand.New(rand.NewPCG(seed, 1)), sizes: map[string]int64{}, bases: map[string]bool{}}
	f.state = f.address(f.cluster.Database(t))
	for _, name := range []string{"src", "one", "two"} {
		f.servers[name] = registrytest.New(t, registrytest.Options{Dir: t.TempDir()})
		// Requests take a while, so that two who work at once are seen, and kills come
		// in the middle of blobs.
		f.servers[name].Set(func(q *registrytest.Quirks) { q.Latency, q.ConnBytesPerSecond = 5*time.Millisecond, 2<<20 })
	}
	f.watch = newObserver(f)
	for i := range 3 {
		f.replicas = append(f.replicas, newReplica(f, i))
	}
	return f
}

// address turns libpq's keywords into a URL.
func (f *fleet) address(keywords string) string {
	var database string
	for word := range strings.FieldsSeq(keywords) {
		if name, ok := strings.CutPrefix(word, "dbname="); ok {
			database = name
		}
	}
	return fmt.Sprintf("postgres:///%s?user=postgres&sslmode=disable&host=%s", database, filepath.Dir(f.cluster.Socket()))
}

func (f *fleet) start() {
	for _, r := range f.replicas {
		r.start()
	}
}

func (f *fleet) src() *registrytest.Server { return f.servers["src"] }

func (f *fleet) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// put moves a tag of the source.
func (f *fleet) put(repo, tag string, layers ...content.Blob) {
	m := content.Image(repo+" "+tag+" "+layers[len(layers)-1].Digest.String(), layers)
	f.mu.Lock()
	for _, b := range m.Blobs {
		f.sizes[b.Digest.String()] = b.Size
	}
	if len(layers) > 1 {
		f.bases[layers[0].Digest.String()] = true
	}
	f.mu.Unlock()
	if err := f.src().Load(repo, m, tag); err != nil {
		f.t.Error(err)
	}
}

// move keeps moving tags until ctx ends. Some images lie on a layer that came new
// to all repositories at once.
func (f *fleet) move(ctx context.Context, seed uint64) { f.moveEvery(ctx, seed, 70*time.Millisecond) }

// moveEvery moves one every so often, more or less.
func (f *fleet) moveEvery(ctx context.Context, seed uint64, every time.Duration) {
	r := rand.New(rand.NewPCG(seed, 2))
	for n := 0; ctx.Err() == nil; n++ {
		repo := repos[r.IntN(len(repos))]
		layers := []content.Blob{content.Layer(fmt.Sprint(seed, " own ", n), int64(10_000+r.IntN(800_000)))}
		if r.IntN(3) == 0 {
			layers = append([]content.Blob{content.Layer(fmt.Sprint(seed, " base ", n/30), 500_000)}, layers...)
		}
		f.put(repo, fmt.Sprint("v", r.IntN(4)), layers...)
		pause(ctx, every/4+time.Duration(r.Int64N(int64(every*3/2))))
	}
}

// await waits until what is wanted holds.
func (f *fleet) await(what string, bound time.Duration, holds func() error) time.Duration {
	f.t.Helper()
	start := time.Now()
	if err := within(f.t.Context(), bound, 50*time.Millisecond, holds); err != nil {
		f.t.Fatalf("after %v: %s: %v\n%s", bound, what, err, f.logs())
	}
	return time.Since(start)
}

// equal tells what keeps targets from holding what the source holds.
func (f *fleet) equal() error {
	for _, name := range []string{"one", "two"} {
		if err := registrytest.Equal(f.src(), f.servers[name], nil); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// finish waits until the replicas have come to rest, looks at what they leave, and
// stops them.
func (f *fleet) finish() {
	f.t.Helper()
	took := f.await("targets are to hold what the source holds", settle, f.equal)
	store, err := postgres.Open(f.t.Context(), f.state, postgres.Options{})
	f.must(err)
	defer store.Close()
	for _, rule := range []string{"ab", "bcd", "base", "all"} {
		f.must(store.Pause(f.t.Context(), rule, true))
	}
	var left []state.Row
	f.await("nothing is to be wanted or running any more", settle, func() (err error) {
		if left, err = store.Queue(f.t.Context()); err == nil && len(left) > 0 {
			err = fmt.Errorf("%+v", left)
		}
		return err
	})
	for _, r := range f.replicas {
		r.stop()
	}
	if left, err = store.Queue(f.t.Context()); err != nil || len(left) > 0 {
		f.t.Errorf("left in the queue: %+v, %v", left, err)
	}
	if err := f.equal(); err != nil {
		f.t.Errorf("not equal in the end: %v", err)
	}
	for _, name := range []string{"one", "two"} {
		if err := f.servers[name].VerifyAll(); err != nil {
			f.t.Errorf("%s: %v", name, err)
		}
	}
	f.watch.verdict()
	f.t.Logf("equal %v after the source stood still", took.Round(time.Millisecond))
}

// weight fails if more left the source than most times what was read of it, beside
// what was in flight when replicas were killed.
func (f *fleet) weight(most float64) {
	f.t.Helper()
	var unique, again, bases int64
	counts := f.src().Counts()
	for digest, d := range counts.Digests {
		if d.BytesOut == 0 {
			continue
		}
		more := max(0, d.BytesOut-f.sizes[digest])
		unique += f.sizes[digest]
		again += more
		if f.bases[digest] {
			bases += more
		}
	}
	flown := f.watch.flown()
	f.t.Logf("source: %d bytes read of %d unique (%.3f); more than once %d, of which %d of what several repositories have; %d in flight at kills",
		counts.BytesOut, unique, float64(counts.BytesOut)/float64(unique), again, bases, flown)
	if bar := int64((most - 1) * float64(unique)); again > bar+flown {
		f.t.Errorf("I9: %d bytes were read more than once, want at most %d and the %d in flight at kills", again, bar, flown)
	}
}

// logs is the end of what each replica said.
func (f *fleet) logs() string {
	var b strings.Builder
	for _, r := range f.replicas {
		text := r.said()
		fmt.Fprintf(&b, "--- replica %d\n%s\n", r.n, text[max(0, len(text)-3000):])
	}
	return b.String()
}

// duration is how long replicas are disturbed.
func duration() time.Duration {
	switch {
	case *replicasTime > 0:
		return *replicasTime
	case os.Getenv("TRANSSHIP_LONG") == "1":
		return 10 * time.Minute
	}
	return 20 * time.Second
}

// during has tags move while do runs.
func (f *fleet) during(do func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(f.t.Context(), duration())
	defer cancel()
	moving, stop := context.WithCancel(f.t.Context())
	seed := f.rand.Uint64()
	var mover sync.WaitGroup
	mover.Go(func() { f.move(moving, seed) })
	defer mover.Wait()
	defer stop()
	do(ctx)
}

// TestReplicas has three replicas share the work: nothing is run by two at once, and
// little is read twice.
func TestReplicas(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.start()
	f.await("replicas are to know of each other", settle, func() error {
		for _, r := range f.replicas {
			if !strings.Contains(r.said(), "replicas=3") {
				return fmt.Errorf("replica %d does not", r.n)
			}
		}
		return nil
	})
	f.during(func(ctx context.Context) { <-ctx.Done() })
	f.finish()
	f.weight(1.02)
}

// TestReplicasKilled has replicas killed by SIGKILL and started again, at random:
// nothing is run by two at once, no work is lost, and little is read twice beside
// what was in flight.
//
//	go test ./cmd/transship -run TestReplicasKilled -v -replicas-seed 4 -replicas-time 1m
func TestReplicasKilled(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.start()
	kills := 0
	f.during(func(ctx context.Context) {
		for {
			if pause(ctx, time.Second+time.Duration(f.rand.IntN(2000))*time.Millisecond); ctx.Err() != nil {
				return
			}
			r := f.replicas[f.rand.IntN(len(f.replicas))]
			if !r.serves() {
				continue // on a busy machine none would ever come to work
			}
			r.kill()
			r.start()
			kills++
		}
	})
	f.finish()
	t.Logf("%d kills", kills)
	f.weight(1.05)
}

// TestReplicasDatabaseRestarts has PostgreSQL restart under replicas, at once and
// after a while: they drop what ran before another can take it, say so once, and go on.
func TestReplicasDatabaseRestarts(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.start()
	f.during(func(ctx context.Context) {
		pause(ctx, duration()/4)
		f.busy("now")
		f.cluster.Down(t)
		f.cluster.Up(t)
		pause(ctx, duration()/4)
		f.busy("later")
		said := f.said()
		f.cluster.Down(t)
		f.await("replicas are to drop what runs", settle, f.watch.idle)
		f.await("all replicas are to say that they wait", settle, func() error {
			for i, n := range f.said() {
				if n <= said[i] {
					return fmt.Errorf("replica %d does not", i)
				}
			}
			return nil
		})
		f.cluster.Up(t)
		<-ctx.Done()
		for i, n := range f.said() {
			if n != said[i]+1 || said[i] > 1 {
				t.Errorf("replica %d said %d times before the second restart and %d times after it that no work can be taken",
					i, said[i], n)
			}
		}
	})
	f.finish()
	for _, r := range f.replicas {
		if r.lives != 1 {
			t.Errorf("replica %d began %d times", r.n, r.lives)
		}
	}
	f.weight(2) // what is dropped is read again
}

// busy gives all replicas something that takes seconds, and waits until they are at it.
func (f *fleet) busy(name string) {
	f.t.Helper()
	for _, repo := range repos {
		f.put(repo, name, content.Layer(repo+name, 8<<20))
	}
	f.await("replicas are to be at work", settle, func() error {
		for _, repo := range repos {
			if f.watch.worker("one/"+repo) == nil {
				return fmt.Errorf("nobody works at %s", repo)
			}
		}
		return nil
	})
}

// said is how often each replica has said that it cannot take work.
func (f *fleet) said() (times []int) {
	for _, r := range f.replicas {
		times = append(times, strings.Count(r.said(), "no work can be taken for now"))
	}
	return times
}

// TestReplicaFrozen has a replica frozen: its job runs elsewhere, and it loses its
// work when it wakes.
func TestReplicaFrozen(t *testing.T) {
	needs.Long(t)
	t.Parallel()
	f := newFleet(t)
	for _, s := range f.servers {
		s.Set(func(q *registrytest.Quirks) { q.ConnBytesPerSecond = 1 << 20 })
	}
	for _, repo := range repos {
		f.put(repo, "small", content.Layer(repo, 1000))
	}
	f.put("team/a", "large", content.Layer("large", 10<<20))
	f.start()
	var frozen *replica
	f.await("somebody is to work", settle, func() error {
		if frozen = f.watch.worker("one/team/a"); frozen == nil {
			return fmt.Errorf("nobody does")
		}
		return nil
	})
	f.watch.freezing(frozen)
	frozen.signal(syscall.SIGSTOP)
	took := f.await("the job of the frozen replica is to run elsewhere", time.Minute, func() error {
		if r := f.watch.worker("one/team/a"); r == nil || r == frozen {
			return fmt.Errorf("it does not")
		}
		return nil
	})
	t.Logf("elsewhere after %v", took)
	f.watch.freezing(nil)
	frozen.signal(syscall.SIGCONT)
	f.await("it is to lose its work", settle, func() error {
		if !strings.Contains(frozen.said(), "job interrupted") && !strings.Contains(frozen.said(), "the right to a job was lost") {
			return fmt.Errorf("it does not")
		}
		return nil
	})
	f.finish()
}
