package replicator_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/state/statetest/needs"
)

const (
	killedUsually = 3
	killedLong    = 20
	large         = 8 // layers
)

// TestKilledBinary runs schedules of the program itself: transship sync, built as
// users build it, is killed by SIGKILL after a random number of requests, and again,
// with faults on. At no time a tag names what is not there; nothing large that a
// target has is read again; in the end everything is equal, and one more run has
// nothing to do.
//
//	go test ./replicator -run TestKilledBinary -seed 4 -v
//	TRANSSHIP_LONG=1 go test ./replicator -run TestKilledBinary     # 20
func TestKilledBinary(t *testing.T) {
	if replicator.Raced {
		t.Skip("the program is built without the race detector: the run without it kills it")
	}
	program := filepath.Join(t.TempDir(), "transship")
	build := exec.Command(needs.Tool(t, "go"), "build", "-o", program, "../cmd/transship")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	first, end := 0, killedUsually
	if os.Getenv("TRANSSHIP_LONG") == "1" {
		end = killedLong
	}
	if *oneSeed >= 0 {
		first, end = int(*oneSeed), int(*oneSeed)+1
	}
	for seed := first; seed < end; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			killed(t, program, uint64(seed))
		})
	}
}

// killed is one schedule of the program.
func killed(t *testing.T, program string, seed uint64) {
	s := newTrial(t, seed)
	s.begin()
	for i := range large {
		name := fmt.Sprint("large", i)
		s.put(repos[i%2], content.Image(name, []content.Blob{s.grow.layer(name, 3_000_000)}), name)
	}
	for name := range s.servers {
		s.set(name, func(q *registrytest.Quirks) { q.NoLink = false }) // it asks for large pages
	}
	// At a pace, so that what leaves the source arrives, and is not lost with the
	// buffers of a killed connection.
	s.set("src", func(q *registrytest.Quirks) { q.BytesPerSecond = 30 << 20 })
	s.faults = s.calm()
	p := &killing{trial: s, program: program, whole: map[string]bool{}}
	kills := 0
	for range 4 + s.grow.IntN(3) {
		if p.life(int64(1 + s.grow.IntN(40)*s.grow.IntN(12))) {
			kills++
		}
	}
	s.faults = nil
	p.toTheEnd()
	p.nothingToDo()
	unique, read := s.weight()
	t.Logf("%d kills, %d bytes read of %d unique (%.3f)", kills, read, unique, float64(read)/float64(unique))
	most := 1.25
	if s.src().Quirks().NoRange {
		most = 2 // what was broken off comes from its start again
	}
	if float64(read) > most*float64(unique) {
		t.Errorf("I9: %d bytes left the source, more than %.2f times %d", read, most, unique)
	}
	s.secretive(p.said.String())
}

// calm are faults that a client with its usual patience gets over in a moment.
func (s *trial) calm() []fault {
	kinds := []func(*rand.Rand, *trial) fault{throttled, unavailable, resetAnswer, resetUpload, cutAnswer, lostAnswer, expired, forgotten, unstored}
	s.grow.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	var list []fault
	for _, kind := range kinds[:2] {
		f := kind(s.grow.Rand, s)
		if f.rule != nil {
			f.rule.Max, f.rule.Rate = 6, f.rule.Rate/3
		}
		s.tell("fault: %s at %s", f.name, f.side)
		list = append(list, f)
	}
	return list
}

// A killing is a trial whose processes are the program.
type killing struct {
	*trial
	program string
	said    bytes.Buffer
	whole   map[string]bool // large blobs that some target has
}

// start starts the program over the trial's folder.
func (k *killing) start() *exec.Cmd {
	k.t.Helper()
	var text strings.Builder
	text.WriteString("registries:\n")
	for name, server := range k.servers {
		fmt.Fprintf(&text, "  %s: {host: %q, plainHTTP: true, provider: oci", name, server.Host())
		if server.Quirks().Mode != registrytest.Open {
			fmt.Fprintf(&text, ", auth: {username: %s, password: %s}", name, k.secrets[name])
		}
		text.WriteString("}\n")
	}
	file := filepath.Join(k.dir, "policy.yaml")
	k.must(os.WriteFile(file, []byte(text.String()+k.rules), 0o600))
	cmd := exec.Command(k.program, "sync", "-c", file, "--state", filepath.Join(k.dir, "state.db"),
		"--spool-dir", filepath.Join(k.dir, "spool"), "--log-level", "debug")
	cmd.Env = []string{"HOME=" + k.dir, "PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = &k.said, &k.said
	k.must(cmd.Start())
	return cmd
}

// life is one process, killed when it has made n requests, and reports whether it
// was still alive then.
func (k *killing) life(n int64) bool {
	before, counts := k.shots(), k.src().Counts()
	k.turn(true)
	var count atomic.Int64
	cmd := make(chan *exec.Cmd, 1)
	k.hook.set(func(name string, r *http.Request, class registrytest.Class) *registrytest.Fault {
		k.below(name, r, class)
		if count.Add(1) == n {
			c := <-cmd
			_ = c.Process.Kill()
			for _, f := range k.faults {
				if f.now != nil {
					f.now(k.trial)
				}
			}
		}
		return nil
	})
	c := k.start()
	cmd <- c
	late := time.AfterFunc(3*time.Minute, func() { _ = c.Process.Kill() }) // it would hang the test
	err := c.Wait()
	late.Stop()
	k.hook.set(nil)
	k.turn(false)
	k.tell("killed after %d requests: %v", n, err)
	k.hold(before)
	k.notAgain(counts, k.whole)
	for _, name := range k.targets {
		for digest, d := range k.servers[name].Counts().Digests {
			if d.Uploads > 0 && k.grow.sizes[digest] > 256<<10 && k.servers[name].HasAnywhere(hash(digest)) {
				k.whole[digest] = true
			}
		}
	}
	return err != nil && !c.ProcessState.Exited()
}

// below fails if a tag is put although a manifest below it, or one that refers to
// it, is not there (I1).
func (k *killing) below(name string, r *http.Request, class registrytest.Class) {
	repo, ref, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/manifests/")
	if _, _, carries := strings.Cut(ref, "sha256"); !ok || carries || class != registrytest.ManifestPut {
		return
	}
	m := modelOf(k.src(), repo, func(tag string) bool { return tag != ref })
	delete(m.manifests, m.tags[ref]) // it is on its way
	for _, err := range m.missing(k.servers[name], name, repo) {
		k.t.Errorf("I1: %s/%s:%s is put although %v", name, repo, ref, err)
	}
}

// toTheEnd runs the program once more, with nothing in its way.
func (k *killing) toTheEnd() {
	before, counts := k.shots(), k.src().Counts()
	err := k.start().Wait()
	k.hold(before)
	k.notAgain(counts, k.whole)
	fixed := k.keeps
	for _, name := range k.targets {
		fixed = fixed || k.servers[name].Quirks().Immutable != registrytest.Mutable
		if wrong := k.converged(name, k.excused(name, before[name])); wrong != nil {
			k.t.Errorf("not equal in the end: %v", wrong)
		}
	}
	if err != nil && !fixed {
		k.t.Errorf("the last run: %v\n%s", err, k.said.String())
	}
}

// nothingToDo runs it on what is equal (I6).
func (k *killing) nothingToDo() {
	counts := k.counts()
	err := k.start().Wait()
	for _, name := range k.targets {
		if k.servers[name].Quirks().Immutable != registrytest.Mutable {
			return // a tag that cannot be moved is tried again
		}
	}
	if err != nil {
		k.t.Errorf("a run with nothing to do: %v", err)
	}
	readsNothing(k.t.(*testing.T), k.since(counts))
}

// weight is how many bytes of blobs the source has, each once, and how many left it.
func (s *trial) weight() (unique, read int64) {
	seen := map[v1.Hash]bool{}
	for _, repo := range s.src().Repositories() {
		for _, d := range s.src().Blobs(repo) {
			if !seen[d] {
				seen[d] = true
				unique += s.grow.sizes[d.String()]
			}
		}
	}
	return unique, s.src().Counts().BytesOut
}
