package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers/dockerhub/dockerhubtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// A hubRig replicates from Docker Hub to a plain registry, each command as a process
// of its own.
type hubRig struct {
	*testing.T
	hub    *dockerhubtest.Server
	target *registrytest.Server
	args   []string
}

func newHub(t *testing.T, pulls int) *hubRig {
	dir := t.TempDir()
	r := &hubRig{T: t, target: registrytest.New(t, registrytest.Options{}),
		hub: dockerhubtest.New(t, dockerhubtest.Options{Quirks: func(q *dockerhubtest.Quirks) { q.Pulls = pulls }})}
	file := filepath.Join(dir, "policy.yaml")
	text := fmt.Sprintf(`registries:
  hub: {host: %q, provider: dockerhub, plainHTTP: true, apiHost: %q, auth: {username: sync, password: %q}}
  lab: {host: %q, plainHTTP: true}
rules:
  - {name: base, from: {registry: hub, repositories: {include: ["acme/**"]}}, to: [{registry: lab}]}
`, r.hub.Host(), r.hub.API(), r.hub.Account("sync", "acme", false), r.target.Host())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.args = []string{"-c", file, "--state", filepath.Join(dir, "state.db")}
	return r
}

func (r *hubRig) run(command string, more ...string) (code int, out, errs string) {
	r.Helper()
	var o, e bytes.Buffer
	if command == "sync" {
		more = append(more, "--spool-dir", r.TempDir())
	}
	code = Main(append(append([]string{command}, r.args...), more...), strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

// sync runs once, and wants no failure.
func (r *hubRig) sync() (code int, out outcome) {
	r.Helper()
	code, text, errs := r.run("sync", "-o", "json")
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		r.Fatalf("%v in\n%s%s", err, text, errs)
	}
	if len(out.Failures)+len(out.Jobs)+len(out.Problems) > 0 || out.Figures.Failed > 0 {
		r.Errorf("something failed: %s%s", text, errs)
	}
	return code, out
}

func (r *hubRig) gets() int64 { return r.hub.Counts().Of(registrytest.ManifestGet) }

// TestHubWaits holds that an account of Docker Hub with fewer pulls than a first sync
// needs gets whole images in each window, is asked for nothing more until the next,
// is told so as no failure, and reads nothing twice.
func TestHubWaits(t *testing.T) {
	r := newHub(t, 20) // of which 18 are ours
	const images = 20  // of three manifests
	for i := range images {
		m := content.Index([]*content.Manifest{
			content.Image(fmt.Sprint("a", i), []content.Blob{content.Layer(fmt.Sprint("a", i), 100)}),
			content.Image(fmt.Sprint("b", i), []content.Blob{content.Layer(fmt.Sprint("b", i), 100)}),
		})
		if err := r.hub.Load("acme/app", m, fmt.Sprintf("v%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	// How many come at once depends on how soon answers arrive: what is on its way may
	// be counted twice until then. None that was begun is left half read.
	var out outcome
	copied, code := int64(0), exitSomeLeft
	for tries := 0; copied < 6; tries++ {
		code, out = r.sync()
		copied += out.Figures.Copied
		if code != exitSomeLeft || out.Done || out.Figures.Waiting != images-copied || len(out.Waiting) != 1 ||
			r.gets() != 3*copied || int64(r.hub.Pulled("sync")) != 3*copied || tries == 6 {
			t.Fatalf("exit %d, %d pulls, %d copied: %+v", code, r.hub.Pulled("sync"), copied, out)
		}
	}
	if w := out.Waiting[0]; w.Registry != "hub" || w.Tags != 14 || time.Until(w.Until) < 5*time.Hour || w.Hint == "" {
		t.Errorf("waiting: %+v", w)
	}
	if len(out.Pulls) != 1 || out.Pulls[0].Windows < 3 || out.Pulls[0].Waiting != 42 {
		t.Errorf("pulls: %+v", out.Pulls)
	}

	code, text, errs := r.run("sync")
	if code != exitSomeLeft || r.gets() != 18 || !strings.Contains(text, "14 waiting") || !strings.Contains(errs, "waiting: 14 tags of registry hub, until 20") {
		t.Errorf("exit %d after %d GETs:\n%s%s", code, r.gets(), text, errs)
	}

	r.hub.PassTime(6 * time.Hour)
	code, text, errs = r.run("plan")
	looked := r.gets() - 18
	if code != exitDone || looked < 3 || looked > 9 || !strings.Contains(text, fmt.Sprintf("registry hub lets us read 18 manifests in 6h (20, of which 2 are kept for others): a first sync reads 42, which takes 3 windows; %d of them are not read yet", 42-looked)) {
		t.Errorf("plan: exit %d after %d GETs:\n%s%s", code, r.gets(), text, errs)
	}

	for i := 0; code != exitDone || i == 0; i++ {
		if i == 10 {
			t.Fatalf("%d of %d images after %d windows", copied, images, i)
		}
		code, out = r.sync()
		copied += out.Figures.Copied
		r.hub.PassTime(6 * time.Hour)
	}
	if copied != images || r.gets() != looked+3*images {
		t.Errorf("%d images by %d GETs, want %d by %d and the %d of the plan", copied, r.gets(), images, 3*images, looked)
	}
	if code, out = r.sync(); code != exitDone || !out.Done || r.gets() != looked+3*images {
		t.Errorf("unchanged: exit %d, %d GETs, %+v", code, r.gets(), out)
	}
	if err := registrytest.Equal(r.hub.Server, r.target, nil); err != nil {
		t.Error(err)
	}
}

// TestHubDoctor holds that doctor says who we are at Docker Hub, and what a token
// that may only read lacks.
func TestHubDoctor(t *testing.T) {
	r := newHub(t, 200)
	if err := r.hub.Load("acme/app", content.Image("x", nil), "v1"); err != nil {
		t.Fatal(err)
	}
	code, text, errs := r.run("doctor")
	for _, want := range []string{"hub", "as sync", "acme/app:v1", "Read-only", "pulls", "180 of 200"} {
		if !strings.Contains(text, want) {
			t.Errorf("doctor (exit %d) lacks %q:\n%s%s", code, want, text, errs)
		}
	}
	if r.gets() != 0 {
		t.Error("doctor pulls")
	}
}
