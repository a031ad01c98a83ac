package plan

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
)

// manyFacts are n tags of n contents, out of as many sources as are asked for.
func manyFacts(n, sources int) Facts {
	to := Place{"west", "app"}
	f := Facts{At: time.Unix(1_800_000_000, 0), Sources: map[Place]*Source{}, Target: Target{
		Place: to, Listed: true, Tags: map[string]v1.Hash{}, Where: map[v1.Hash][]string{},
	}}
	for i := range n {
		from := Place{"home", fmt.Sprint("app", i%sources)}
		if f.Sources[from] == nil {
			f.Sources[from] = &Source{Place: from, Manifests: map[v1.Hash]Manifest{}}
		}
		rule := &Rule{Name: fmt.Sprint("rule", i%sources), Selection: "all", Referrers: true, OnConflict: policy.Keep}
		f.Wants = append(f.Wants, Want{Rule: rule, From: from, Ref: fmt.Sprint("v", i), Tag: fmt.Sprint("v", i), Digest: number(i)})
	}
	return f
}

func number(i int) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%08x%056x", i, i)} }

// cpu is the processor time that this process has had: what it waited for others
// is not in it.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for no argument of ours
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// With eight times the tags a decision takes about eight times as long, also
// where nothing is told yet, where everything is refused, and where there are as
// many sources as tags.
func TestDecisionsGrowWithTags(t *testing.T) {
	const few, times = 2000, 8
	for _, tt := range []struct {
		name   string
		change func(f *Facts)
	}{
		{"nothing is told", func(*Facts) {}},
		{"all differ", func(f *Facts) {
			for _, w := range f.Wants {
				f.Target.Tags[w.Tag] = number(1 << 30)
			}
		}},
		{"all are refused", func(f *Facts) {
			f.Target.Caps.Schema1 = providers.No
			for _, w := range f.Wants {
				m := Manifest{Digest: w.Digest}
				m.MediaType = types.DockerManifestSchema1
				f.Sources[w.From].Manifests[w.Digest] = m
			}
		}},
		{"all want one tag", func(f *Facts) {
			for i := range f.Wants {
				f.Wants[i].Tag = "v1"
			}
		}},
	} {
		for _, sources := range []int{1, few} {
			t.Run(fmt.Sprint(tt.name, ", ", sources, " sources"), func(t *testing.T) {
				took := func(n int) time.Duration {
					f := manyFacts(n, max(1, sources*n/few))
					tt.change(&f)
					var all []time.Duration
					for range 3 {
						start := cpu()
						Diff(f)
						all = append(all, cpu()-start)
					}
					return slices.Min(all)
				}
				var ratio float64
				for range 3 { // what else runs on the machine can spoil a measurement, not mend it
					ratio = float64(took(few*times)) / float64(took(few))
					if ratio <= 6*times {
						return
					}
				}
				t.Errorf("%d times the tags take %.0f times as long", times, ratio)
			})
		}
	}
}

// What a run remembers of plans that are gone is bounded by a constant for each
// blob that is to be sent.
func TestRunHoldsLittle(t *testing.T) {
	const plans, blobs = 100, 500
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	run := NewRun()
	for i := range plans {
		p := Plan{Target: Place{"west", fmt.Sprint("app", i)}}
		img := Image{Tags: []Tag{{Name: "v1", Why: New}}}
		for n := range blobs {
			img.Root.Blobs = append(img.Root.Blobs, Blob{Descriptor: v1.Descriptor{Digest: number(i*blobs + n), Size: 10}, Have: Upload})
		}
		p.Images = append(p.Images, img)
		run.Add(&p)
	}
	each := (heap() - before) / (plans * blobs)
	if c := run.Cost(); c.Uploads != plans*blobs || c.Read != 10*plans*blobs {
		t.Errorf("cost %+v", c)
	}
	if t.Logf("%d bytes for each blob", each); each > 128 {
		t.Errorf("%d bytes for each blob", each)
	}
}

// Bytes to read are counted once over all targets of a run, and a registry that
// mounts nothing is sent a blob again without it being read again.
func TestRunReadsOnce(t *testing.T) {
	one := func(registry, repo string, mountless bool) *Plan {
		img := Image{Tags: []Tag{{Name: "v1", Why: New}}}
		img.Root.Blobs = []Blob{{Descriptor: v1.Descriptor{Digest: number(1), Size: 10}, Have: Upload}}
		return &Plan{Target: Place{registry, repo}, Mountless: mountless, Images: []Image{img}}
	}
	run := NewRun()
	for _, p := range []*Plan{one("west", "a", false), one("west", "b", false), one("east", "a", true), one("east", "b", true)} {
		run.Add(p)
	}
	if c := run.Cost(); c.Read != 10 || c.Bytes != 30 || c.Mounts != 1 {
		t.Errorf("cost %+v", c)
	}
}
