package replicator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/transship/transship/replicator"
	"github.com/transship/transship/state/statetest/needs"
)

// processorTime is what this process has had of the processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for no argument of ours
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// inProcess does s in a process of its own, on the state in dir.
func (s scale) inProcess(t *testing.T, dir string) (out scaled) {
	t.Helper()
	s.Dir = dir
	spec, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestScaleChild$", "-test.timeout=2h")
	cmd.Env = append(os.Environ(), scaleEnv+"="+string(spec))
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%+v: %v\n%s", s, err, text)
	}
	_, line, found := bytes.Cut(text, []byte(scaleMark))
	if line, _, _ = bytes.Cut(line, []byte("\n")); !found || json.Unmarshal(line, &out) != nil {
		t.Fatalf("%+v printed %s", s, text)
	}
	return out
}

// The work that is measured at each size, on one state after the other.
func (s scale) passes() []struct {
	name string
	scale
} {
	first, again := s, s
	first.Do, first.Empty, again.Do = "plan", true, "sync"
	return []struct {
		name string
		scale
	}{{"first plan", first}, {"first pass, all in step", again}, {"unchanged pass", again}}
}

// measure does s's passes and checks what they asked, wanted and found.
func (s scale) measure(t *testing.T, limit int64) (rows []string) {
	t.Helper()
	dir, tags := t.TempDir(), int64(s.Repos)*int64(s.Tags)
	for i, pass := range s.passes() {
		if i == 1 {
			dir = t.TempDir()
		}
		out := pass.inProcess(t, dir)
		lists := int64(s.Repos * ((s.Tags + hollowPage - 1) / hollowPage))
		want := scaled{Lists: lists, Reads: tags * int64(1+s.Refs), Referrers: tags * int64(1+s.Refs)}
		if i > 0 {
			want = scaled{Lists: lists, Heads: tags, Referrers: tags * int64(1+s.Refs)} // of referrers too
		}
		if i > 1 {
			want.Referrers = 0
		}
		if s.Bulk {
			want.Heads, want.Referrers = 0, 0
		}
		if got := (scaled{Lists: out.Lists, Heads: out.Heads, Reads: out.Reads, Referrers: out.Referrers}); got != want {
			t.Errorf("%+v: %s asked the source %+v, want %+v", s, pass.name, got, want)
		}
		if done := int64(out.Images + out.InStep); done != tags*int64(s.Targets) || i > 0 && out.Images > 0 {
			t.Errorf("%+v: %s found %d images and %d in step", s, pass.name, out.Images, out.InStep)
		}
		if limit > 0 && out.Peak > limit {
			t.Errorf("%+v: %s took %d MiB, want at most %d", s, pass.name, out.Peak/1024, limit/1024)
		}
		rows = append(rows, out.row(s, pass.name))
		t.Log(rows[i]) // it may take long until the table is whole
	}
	return rows
}

func (out scaled) row(s scale, name string) string {
	how := "plain"
	if s.Bulk {
		how = "bulk"
	}
	sec := func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
	return fmt.Sprintf("| %d × %d, %d targets, %d referrers, %s | %s | %d + %d + %d + %d | %d | %s | %s | %s | %s + %s | %d MiB | %.1f MB |",
		s.Repos, s.Tags, s.Targets, s.Refs, how, name, out.Lists, out.Heads, out.Reads, out.Referrers, out.AtTargets, sec(out.Expand),
		sec(out.Pass), sec(out.CPU), sec(out.StateReads), sec(out.StateWrites), out.Peak/1024, float64(out.State)/1e6)
}

const scaleHead = "| repositories × tags | pass | lists + HEADs + reads + referrers | at targets | expand | wall | CPU | state read + written | peak | state |"

// A survey and plan of a thousand repositories of a thousand tags takes at most
// 256 MiB, first and unchanged, where the registry lists digests and where it does
// not. By default there are six repositories, and half of that.
func TestThousandByThousand(t *testing.T) {
	repos, limit := replicator.Fewer(6, 2), int64(128<<10)
	if os.Getenv("TRANSSHIP_LONG") == "1" {
		repos, limit = 1000, 256<<10
	}
	if replicator.Raced {
		limit = 0
	}
	rows := []string{scaleHead}
	for _, bulk := range []bool{false, true} {
		rows = append(rows, scale{Repos: repos, Tags: 1000, Bulk: bulk, Targets: 1}.measure(t, limit)...)
	}
	t.Log("\n" + strings.Join(rows, "\n"))
}

// What doubles when the work doubles: the tables of docs/scale.md.
func TestGrowth(t *testing.T) {
	needs.Long(t)
	for _, tt := range []struct {
		name  string
		sizes []scale
	}{
		{"repositories", []scale{{Repos: 50, Tags: 400, Targets: 1}, {Repos: 100, Tags: 400, Targets: 1}, {Repos: 200, Tags: 400, Targets: 1}}},
		{"tags of one repository", []scale{{Repos: 1, Tags: 10_000, Targets: 1}, {Repos: 1, Tags: 20_000, Targets: 1}, {Repos: 1, Tags: 40_000, Targets: 1}}},
		{"targets", []scale{{Repos: 20, Tags: 1000, Targets: 1}, {Repos: 20, Tags: 1000, Targets: 2}, {Repos: 20, Tags: 1000, Targets: 3}}},
		{"referrers", []scale{{Repos: 20, Tags: 400, Targets: 1}, {Repos: 20, Tags: 400, Targets: 1, Refs: 1}, {Repos: 20, Tags: 400, Targets: 1, Refs: 2}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows := []string{scaleHead}
			for _, s := range tt.sizes {
				rows = append(rows, s.measure(t, 0)...)
			}
			t.Log("\n" + strings.Join(rows, "\n"))
		})
	}
}

// One repository of a hundred thousand tags: memory is bounded by its list.
func TestHundredThousandTags(t *testing.T) {
	needs.Long(t)
	rows := []string{scaleHead}
	for _, bulk := range []bool{false, true} {
		rows = append(rows, scale{Repos: 1, Tags: 100_000, Bulk: bulk, Targets: 1}.measure(t, 0)...)
	}
	t.Log("\n" + strings.Join(rows, "\n"))
}

// The stages of a plan, one job after the other, so that their times add up.
func TestStages(t *testing.T) {
	repos := 2
	if os.Getenv("TRANSSHIP_LONG") == "1" {
		repos = 20
	}
	dir := t.TempDir()
	scale{Do: "sync", Repos: repos, Tags: 1000, Targets: 1}.inProcess(t, dir)
	for _, s := range []struct {
		name string
		scale
		dir string
	}{
		{"first plan", scale{Do: "stages", Repos: repos, Tags: 1000, Targets: 1, Empty: true}, t.TempDir()},
		{"unchanged", scale{Do: "stages", Repos: repos, Tags: 1000, Targets: 1}, dir},
	} {
		out := s.inProcess(t, s.dir)
		each := func(d time.Duration) string {
			return fmt.Sprintf("%.1f µs", float64(d.Microseconds())/float64(repos*1000))
		}
		t.Logf("%s, for each tag: registries %s, state %s read and %s written, survey %s, plan %s", s.name,
			each(out.Registries), each(out.StateReads), each(out.StateWrites), each(out.Survey), each(out.Plan))
		if out.Images+out.InStep != repos*1000 {
			t.Errorf("%s: %+v", s.name, out)
		}
	}
}
