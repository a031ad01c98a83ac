package replicator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/state/sqlite"
)

// childDir is set for a process of its own that runs one pass over a folder: the
// test binary again, so that it can be killed and measured.
const childDir = "TRANSSHIP_TEST_CHILD"

func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := child(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child runs the policy in dir once, and prints the most memory that it had.
func child(dir string) error {
	ctx := context.Background()
	set, err := policy.Load(filepath.Join(dir, "policy.yaml"))
	if err != nil {
		return err
	}
	store, err := sqlite.Open(ctx, filepath.Join(dir, "state.db"), sqlite.Options{})
	if err != nil {
		return err
	}
	clients := map[string]providers.Registry{}
	for name, r := range set.Registries {
		if clients[name], err = oci.New(childOptions(name, r)); err != nil {
			return err
		}
	}
	o := replicator.Options{Policy: set, State: store, Registries: func(name string) (providers.Registry, error) { return clients[name], nil }}
	o.Transfer.SpoolDir, o.Transfer.SpoolBytes = filepath.Join(dir, "spool"), 8<<30
	e, err := replicator.New(o)
	if err != nil {
		return err
	}
	jobs, _, err := e.Expand(ctx, set.Rules, nil)
	if err != nil {
		return err
	}
	reports, err := e.RunAll(ctx, "test", jobs, nil)
	for _, r := range reports {
		if !r.OK() {
			err = errors.Join(err, r.Err, fmt.Errorf("%s: %+v", r.Key, r.Failures))
		}
	}
	fmt.Println(peak())
	return errors.Join(err, e.Close(), store.Close())
}

// peak is the most memory that this process had resident, as the kernel tells it.
func peak() string {
	raw, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(raw)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kib), "kB"))
		}
	}
	return ""
}

// spawn starts a process over the world's folder.
func (w *world) spawn(out *bytes.Buffer) *exec.Cmd {
	w.t.Helper()
	w.lives++
	var text strings.Builder
	text.WriteString("registries:\n")
	for name, s := range w.servers {
		fmt.Fprintf(&text, "  %s: {host: %q, plainHTTP: true, provider: oci}\n", name, s.Host())
	}
	w.must(os.WriteFile(filepath.Join(w.dir, "policy.yaml"), []byte(text.String()+w.rules), 0o600))
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childDir+"="+w.dir, fmt.Sprintf("AGENT=process-%d", w.lives))
	cmd.Stdout, cmd.Stderr = out, out
	return cmd
}

// A process that is killed in the middle, several times, is followed by others
// that end the work: without help, without reading again what a target has, and
// going on within blobs.
func TestI9KillNine(t *testing.T) {
	w := newWorld(t, "one", "two")
	w.everyKind()
	const large = 20
	for i := range large {
		w.load(fmt.Sprintf("large/%d", i%3), content.Image(fmt.Sprint(i), []content.Blob{content.Layer(fmt.Sprint("large", i), 1<<20)}), fmt.Sprint("v", i))
	}
	committed, kills := map[string]bool{}, 0
	for _, after := range []int64{40, 110, 130, 150, 90} {
		var out bytes.Buffer
		cmd := w.spawn(&out)
		var n atomic.Int64
		started := make(chan struct{})
		w.hook.set(func(string, *http.Request, registrytest.Class) *registrytest.Fault {
			if <-started; n.Add(1) == after {
				_ = cmd.Process.Kill()
			}
			return nil
		})
		before := w.src().Counts()
		w.must(cmd.Start())
		close(started)
		if err := cmd.Wait(); err != nil {
			kills++
		}
		w.hook.set(nil)
		w.notAgain(before, committed)
		for _, name := range w.targets {
			w.complete(name, shot{})
			for digest, d := range w.servers[name].Counts().Digests {
				if d.Uploads > 0 && d.BytesIn >= 1<<20 {
					committed[digest] = true
				}
			}
		}
	}
	before := w.src().Counts()
	n := w.start().fine()
	w.notAgain(before, committed)
	w.same()
	total := w.src().Counts().BytesOut
	t.Logf("%d kills, %d large blobs committed before the last life, %d bytes read in all of %d unique", kills, len(committed), total, int64(large<<20))
	if kills < 3 || len(committed) == 0 {
		t.Errorf("%d kills with %d blobs committed prove nothing\n%s", kills, len(committed), n["src"])
	}
}

// notAgain fails for each of some blobs that was read since before.
func (w *world) notAgain(before registrytest.Counts, blobs map[string]bool) {
	w.t.Helper()
	for digest, d := range w.src().Counts().Sub(before).Digests {
		if blobs[digest] && d.BytesOut > 0 {
			w.t.Errorf("I9: %s, which a target has, was read again after a kill: %d bytes", digest, d.BytesOut)
		}
	}
}

// A process that copies one large layer to two targets stays within 64 MiB. The
// layer has 256 MB, or 2 GB with TRANSSHIP_LONG=1.
func TestMemory(t *testing.T) {
	if replicator.Raced {
		t.Skip("the race detector takes memory of its own: the run without it measures")
	}
	size, most := int64(256_000_000), 64<<10 // KiB
	if os.Getenv("TRANSSHIP_LONG") == "1" {
		size = 2_000_000_000
	}
	w := newWorld(t, "one", "two")
	for _, name := range w.targets {
		w.servers[name].Close()
		dir := t.TempDir()
		s := registrytest.New(t, registrytest.Options{Dir: dir})
		w.servers[name] = s
	}
	w.load("app", content.Image("large", []content.Blob{content.Layer("large", size)}), "v1")
	var out bytes.Buffer
	cmd := w.spawn(&out)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	w.equal()
	var kib int
	if _, err := fmt.Sscan(out.String(), &kib); err != nil {
		t.Fatalf("the process told no peak of memory (%q): %v", out.String(), err)
	}
	t.Logf("%d bytes to two targets: peak of memory %d KiB, bound %d KiB", size, kib, most)
	if kib > most {
		t.Errorf("peak of memory %d KiB, want at most %d KiB", kib, most)
	}
	if n := w.src().Counts().BytesOut; n > size+10_000 {
		t.Errorf("%d bytes left the source, want %d", n, size)
	}
}
