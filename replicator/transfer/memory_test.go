package transfer

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state/sqlite"
)

// A large layer goes through a process of its own, whose peak is measured: the
// registries are in this one. 256 MB, or 2 GB with TRANSSHIP_LONG=1.
func TestMemoryOfALargeLayer(t *testing.T) {
	if hosts := os.Getenv("TRANSSHIP_TEST_COPY"); hosts != "" {
		copyLarge(t, strings.Split(hosts, ","))
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("the peak is read from /proc, which only Linux has")
	}
	if raced {
		t.Skip("the race detector has a memory of its own; run it without -race")
	}
	const most = 64 << 10 // KiB
	w := newWorld(t, 2, nil)
	if err := w.source.LoadCorpus(one("app", "v1", large())); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestMemoryOfALargeLayer$", "-test.v")
	cmd.Env = append(os.Environ(), fmt.Sprintf("TRANSSHIP_TEST_COPY=%s,%s,%s,%s", w.source.Host(), w.targets[0].Host(), w.targets[1].Host(), t.TempDir()))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, peak, _ := strings.Cut(string(out), "VmHWM:")
	var kib int
	if _, err := fmt.Sscan(peak, &kib); err != nil {
		t.Fatalf("no peak in\n%s", out)
	}
	t.Logf("peak %d MiB", kib>>10)
	if kib > most {
		t.Errorf("the process grew to %d KiB, more than %d", kib, most)
	}
	for _, s := range w.targets {
		if !s.Has("app", large().Blobs[1].Digest) {
			t.Error("the layer is not there")
		}
	}
	w.noReadTwice()
}

func large() *content.Manifest {
	size := int64(256 << 20)
	if os.Getenv("TRANSSHIP_LONG") == "1" {
		size = 2 << 30
	}
	return content.Image("large", []content.Blob{content.Layer("large", size)})
}

func copyLarge(t *testing.T, args []string) {
	regs := map[string]providers.Registry{}
	for i, name := range []string{"src", "t0", "t1"} {
		reg, err := oci.New(oci.Options{Host: args[i], PlainHTTP: true})
		if err != nil {
			t.Fatal(err)
		}
		defer reg.Close()
		regs[name] = reg
	}
	store, err := sqlite.Open(t.Context(), filepath.Join(args[3], "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	journal := &notes{}
	tr, err := New(Options{State: store, Journal: journal, SpoolDir: filepath.Join(args[3], "spool"), SpoolBytes: 4 << 30,
		Registries: func(name string) (providers.Registry, error) { return regs[name], nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	img := imageOf(content.Entry{Repo: "app", Manifest: large(), Tags: []string{"v1"}})
	var plans []plan.Plan
	for _, name := range []string{"t0", "t1"} {
		plans = append(plans, plan.Plan{Target: plan.Place{Registry: name, Repo: "app"}, Images: []plan.Image{img}})
	}
	if err := tr.Run(t.Context(), plans...); err != nil {
		t.Fatal(err)
	}
	for _, r := range journal.take() {
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	printPeak(t)
}

func printPeak(t *testing.T) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "VmHWM:") {
			fmt.Println(lines.Text())
		}
	}
}
