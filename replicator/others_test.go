package replicator

import (
	"testing"
	"time"

	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/others"
	"github.com/transship/transship/state/statetest/needs"
)

// TestOthers holds that a registry of another maker may stand between two of ours:
// what comes out is what went in, tags move there and back, a second pass sends
// nothing, nor does one that remembers nothing.
func TestOthers(t *testing.T) {
	for _, m := range others.Makers() {
		t.Run(string(m), func(t *testing.T) {
			testOther(t, others.Start(t, m, needs.Tool))
		})
	}
}

const throughOne = `
rules:
  - name: there
    from: {registry: src}
    to: [{registry: one}]
  - name: back
    from: {registry: one, repositories: {include: [team/app, team/lib]}}
    to: [{registry: two}]
`

func testOther(t *testing.T, host string) {
	r := newRig(t, throughOne, nil)
	other, err := oci.New(oci.Options{Host: host, PlainHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	r.clients["one"] = other
	r.fill()
	nested := content.Index([]*content.Manifest{content.Index([]*content.Manifest{content.Image("deep", []content.Blob{content.Layer("ld", 3000)})})})
	r.load("team/lib", nested, "nested")
	r.load("team/lib", content.Helm("chart"), "chart")

	r.through("the first pass")
	r.still("all was brought")
	if wrong := r.checks(true); len(wrong) > 0 {
		t.Errorf("a check finds %+v", wrong)
	}

	was, _ := r.servers["src"].Resolve("team/app", "v1")
	next := content.Image("next", []content.Blob{content.Layer("ln", 2000)})
	content.Refer(next, "application/x.sbom", "of the next")
	r.load("team/app", next, "v1")
	r.through("a tag moved")
	r.still("a tag moved")
	r.load("team/app", content.Image("a", []content.Blob{content.Layer("base", 5000), content.Layer("la", 1000)}), "v1")
	if now, _ := r.servers["src"].Resolve("team/app", "v1"); now.Digest != was.Digest {
		t.Fatalf("v1 is %s, not %s again", now.Digest, was.Digest)
	}
	r.through("it moved back")
	r.still("it moved back")

	r.loseState()
	r.pass() // looks for all that it believed in
	r.still("state was lost")
}

// through runs passes until what is at one has come to two, which is then equal to
// the source.
func (r *rig) through(after string) {
	r.t.Helper()
	r.now = r.now.Add(25 * time.Hour)
	r.pass()
	r.now = r.now.Add(25 * time.Hour)
	reports, _ := r.pass() // the rules run at once: what has just come to one comes to two now
	r.fine(reports)
	if err := registrytest.Equal(r.servers["src"], r.servers["two"], func(repo string) string { return repo }); err != nil {
		r.t.Errorf("after %s: %v", after, err)
	}
}

// still fails the test if a pass sends anything.
func (r *rig) still(after string) {
	r.t.Helper()
	reports, _ := r.pass()
	r.fine(reports)
	for _, rep := range reports {
		if f := rep.Figures; f.Manifests+f.BlobsSent+f.Mounted+f.BytesRead > 0 {
			r.t.Errorf("after %s: %s puts %d manifests, sends %d blobs, mounts %d, reads %d bytes", after, rep.Key, f.Manifests, f.BlobsSent, f.Mounted, f.BytesRead)
		}
	}
}
