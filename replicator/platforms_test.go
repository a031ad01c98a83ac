package replicator_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// platformRules are what a rule may say of platforms, one after the other.
var platformRules = []string{
	"", "only: [linux/amd64], mode: sparse", "only: [linux/arm64], mode: sparse", "only: [linux/amd64, linux/arm64], mode: sparse",
	"only: [linux/amd64], mode: rewrite", "only: [linux/amd64, linux/arm64], mode: rewrite",
	"only: [linux/amd64, linux/arm64, linux/arm], mode: rewrite", // that is all of them: nothing is rewritten
}

// Whatever a rule says of platforms after whatever it said before, its targets come
// to hold exactly that: a sparse index is completed when platforms are added, the
// modes can change places, a rewritten index has the same digest each time and
// everywhere, and none of it is taken for somebody else's work.
func TestPlatformsChange(t *testing.T) {
	rewritten := map[string]v1.Hash{}
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 3))
		w := newWorld(t, "one")
		w.set("one", func(q *registrytest.Quirks) { q.SparseIndex = true })
		ix := content.Attested([]*content.Manifest{image("a"), image("b"), image("c")})
		all := content.Index([]*content.Manifest{ix, image("d"), image("e")}, content.Annotate("nested", "<&>"))
		w.load("app", all, "v1", "latest")
		for step := range 6 {
			says := platformRules[r.IntN(len(platformRules))]
			w.rules = fmt.Sprintf(strings.TrimRight(everything, "\n")+"\n    onConflict: fail\n    platforms: {%s}\n", "{registry: one}", says)
			p := w.start()
			p.fine()
			w.hasPlatforms(all, says, rewritten)
			if n := p.fine()["one"]; n.Writes() > 0 {
				t.Errorf("seed %d, step %d, %s: written again\n%s", seed, step, says, n)
			}
			p.end()
			if t.Failed() {
				t.Fatalf("seed %d, step %d: %s", seed, step, says)
			}
		}
	}
	if len(rewritten) != 2 {
		t.Errorf("%d rewritten indexes were seen, want 2", len(rewritten))
	}
}

// hasPlatforms fails the test unless the target has the index as the rule says it.
func (w *world) hasPlatforms(all *content.Manifest, says string, rewritten map[string]v1.Hash) {
	w.t.Helper()
	tags, s := w.servers["one"].Tags("app"), w.servers["one"]
	if tags["v1"] != tags["latest"] {
		w.t.Errorf("v1 is %s, latest is %s", tags["v1"], tags["latest"])
	}
	rewrites := strings.Contains(says, "rewrite") && !strings.Contains(says, "linux/arm]")
	if want := rewritten[says]; rewrites && want.Hex != "" && tags["v1"] != want {
		w.t.Errorf("the rewritten index is %s, and was %s before", tags["v1"], want)
	}
	if rewrites {
		rewritten[says] = tags["v1"]
	}
	if rewrites == (tags["v1"] == all.Digest) {
		w.t.Errorf("rewritten is %v, and v1 is %s, the source has %s", rewrites, tags["v1"], all.Digest)
	}
	if says == "" || strings.Contains(says, "rewrite") {
		if err := s.Verify("app", "v1"); err != nil {
			w.t.Error(err)
		}
	}
	for i, arch := range []string{"amd64", "arm64", "arm"} {
		if says != "" && !strings.Contains(says+",", "linux/"+arch+",") && !strings.Contains(says, "linux/"+arch+"]") {
			continue
		}
		nested := all.Children[0]
		wanted := []*content.Manifest{nested.Children[2*i], nested.Children[2*i+1]} // with its attestation
		if i > 0 {
			wanted = append(wanted, all.Children[i])
		}
		for _, m := range wanted {
			if err := s.Verify("app", m.Digest.String()); err != nil {
				w.t.Errorf("%s: %v", arch, err)
			}
		}
	}
}

// That a target takes no sparse index is learned by trying, and believed for a week.
func TestSparseIsTriedAgain(t *testing.T) {
	w := newWorld(t, "one")
	w.rules = fmt.Sprintf(everything, "{registry: one}") + "    platforms: {only: [linux/arm64], mode: sparse}\n"
	w.load("app", index("a", "b"), "v1")
	try := func(ahead time.Duration) (puts int64, hint string) {
		w.skew = ahead
		p := w.start()
		defer p.end()
		before := w.servers["one"].Counts()
		reports, _, err := p.pass(t.Context())
		w.must(err)
		for _, f := range reports[0].Failures {
			hint += f.Hint + f.Reason
		}
		return w.servers["one"].Counts().Sub(before).Of(registrytest.ManifestPut), hint
	}
	for _, tt := range []struct {
		ahead time.Duration
		tries bool
	}{{0, true}, {time.Hour, false}, {6 * 24 * time.Hour, false}, {8 * 24 * time.Hour, true}} {
		puts, hint := try(tt.ahead)
		if tried := puts > 0; tried != tt.tries || !strings.Contains(hint, "platforms.mode: rewrite") {
			t.Errorf("after %s: %d manifests put, want that it tries: %v; it says %q", tt.ahead, puts, tt.tries, hint)
		}
	}
	w.set("one", func(q *registrytest.Quirks) { q.SparseIndex = true })
	if puts, hint := try(9 * 24 * time.Hour); puts != 0 || hint == "" {
		t.Errorf("what was learned yesterday is tried: %d puts, %q", puts, hint)
	}
	if puts, hint := try(16 * 24 * time.Hour); puts == 0 || hint != "" {
		t.Errorf("the target takes it now: %d puts, %q", puts, hint)
	}
}
