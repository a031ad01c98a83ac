package quay

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/quay/quaytest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestLookingMakesNothing: a token that may push makes the repository. Only a push
// asks for one.
func TestLookingMakesNothing(t *testing.T) {
	s, m := serve(t)
	r := robot(t, s, quaytest.Creator("acme"))
	_, rows := trial.Collect(r.Rows(t.Context(), "acme/new"))
	_, head := r.Head(t.Context(), "acme/new", "v1")
	_, get := r.Manifest(t.Context(), "acme/new", "v1")
	for what, err := range map[string]error{"rows": rows, "head": head, "get": get, "try": r.TryPush(t.Context(), "acme/new")} {
		if providers.KindOf(err) != providers.NotFound || providers.HintOf(err) == "" {
			t.Errorf("%s of a repository that is not there: %v; %s", what, err, providers.HintOf(err))
		}
	}
	if s.Exists("acme/new") {
		t.Fatal("looking has made the repository")
	}
	if err := trial.Push(t, r, "acme/new", "v1", m); err != nil || s.Verify("acme/new", "v1") != nil {
		t.Errorf("push: %v; %v", err, s.Verify("acme/new", "v1"))
	}
	if err := r.TryPush(t.Context(), "acme/new"); err != nil || s.OpenUploads() != 0 {
		t.Errorf("try to push where it is: %v, %d uploads are open", err, s.OpenUploads())
	}
}

// TestRobotWithoutPush: who may read and not write is told what to grant, whatever
// is tried; at a registry that is only read, what is not shown is denied.
func TestRobotWithoutPush(t *testing.T) {
	s, m := serve(t)
	r := robot(t, s, quaytest.Read("acme/app"))
	if _, err := r.Head(t.Context(), "acme/app", "v1"); err != nil {
		t.Fatal(err)
	}
	for _, repo := range []string{"acme/app", "acme/new"} {
		err := trial.Push(t, r, repo, "v2", m)
		if providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "give the account write") {
			t.Errorf("push to %s: %v; %s", repo, err, providers.HintOf(err))
		}
	}
	if err := r.TryPush(t.Context(), "acme/app"); providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "role creator") {
		t.Errorf("try: %v; %s", err, providers.HintOf(err))
	}
	reader := open(t, s, "acme+sync", s.Account("acme+sync"), source)
	if _, err := trial.Collect(reader.Rows(t.Context(), "acme/app")); providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "may not read it") {
		t.Errorf("a source: %v; %s", err, providers.HintOf(err))
	}
}

// TestRefusals: in the kinds that say what to do.
func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		quirk func(*quaytest.Quirks)
		wire  func(*registrytest.Quirks)
		kind  providers.Kind
		says  string
	}{
		"an immutable tag":     {wire: func(q *registrytest.Quirks) { q.Immutable = registrytest.ImmutableQuay }, kind: providers.Conflict, says: "immutable"},
		"a full namespace":     {quirk: func(q *quaytest.Quirks) { q.Full = map[string]bool{"acme": true} }, kind: providers.Quota, says: "quota"},
		"maintenance":          {quirk: func(q *quaytest.Quirks) { q.ReadOnly = true }, kind: providers.Unavailable, says: "maintenance"},
		"a disabled namespace": {quirk: func(q *quaytest.Quirks) { q.Disabled = map[string]bool{"acme": true} }, kind: providers.Denied, says: "disabled"},
		"a mirror":             {quirk: func(q *quaytest.Quirks) { q.ReadOnlyRepos = map[string]bool{"acme/app": true} }, kind: providers.Denied, says: "mirror"},
		"throttled without a delay": {wire: func(q *registrytest.Quirks) {
			q.Faults = []registrytest.Rule{{Rate: 1, Fault: registrytest.Fault{Status: 429}}}
		}, kind: providers.Throttled, says: ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := serve(t)
			if tt.quirk != nil {
				s.Configure(tt.quirk)
			}
			if tt.wire != nil {
				s.Set(tt.wire)
			}
			err := trial.Push(t, robot(t, s, quaytest.Write("acme/app")), "acme/app", "v1", content.Image("y", nil))
			e, ok := errors.AsType[*providers.Error](err)
			if !ok || e.Kind != tt.kind || !strings.Contains(e.Hint, tt.says) || !strings.Contains(e.Ref, "acme/app") {
				t.Errorf("%#v (%v)", e, err)
			}
		})
	}
}

// TestWrongLogin: a robot that is called wrongly is told how robots are called.
func TestWrongLogin(t *testing.T) {
	s, _ := serve(t)
	r := open(t, s, "sync", "wrong")
	_, err := r.Head(t.Context(), "acme/app", "v1")
	if providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "namespace+name") {
		t.Errorf("%v; %s", err, providers.HintOf(err))
	}
	if _, err := trial.Collect(r.Rows(t.Context(), "acme/app")); providers.KindOf(err) != providers.Denied {
		t.Errorf("a target whose login is refused is taken for one that lacks the repository: %v", err)
	}
	who, err := open(t, s, "", "").Whoami(t.Context())
	if err != nil || who.Name != providers.Anonymous {
		t.Errorf("nobody: %v (%v)", who, err)
	}
}

// TestMount: from a repository that may be read, and otherwise the upload is opened.
func TestMount(t *testing.T) {
	s, m := serve(t)
	trial.Load(t, s, "other/app", m, "v1")
	r := robot(t, s, quaytest.Admin("acme"))
	for from, want := range map[string]bool{"acme/app": true, "other/app": false, "acme/nothing": false} {
		mounted, session, err := r.Mount(t.Context(), "acme/copy-of-"+strings.ReplaceAll(from, "/", "-"), from, m.Blobs[0].Digest)
		if err != nil || mounted != want || mounted == (session != nil) {
			t.Errorf("mount from %s: %v, %v (%v)", from, mounted, session, err)
		}
	}
}

// TestTokensEnd: a token that is over in the middle of a copy is renewed.
func TestTokensEnd(t *testing.T) {
	s, m := serve(t)
	r := robot(t, s, quaytest.Write("acme/app"))
	if err := trial.Push(t, r, "acme/app", "v2", m); err != nil {
		t.Fatal(err)
	}
	s.ExpireTokens()
	if err := trial.Push(t, r, "acme/app", "v3", m); err != nil || s.Tags("acme/app")["v3"] != m.Digest {
		t.Errorf("after the tokens ended: %v", err)
	}
}

// TestUntaggedEnds: the emulator keeps what a tag, an index or a subject holds, and
// the capabilities say how long the rest stays.
func TestUntaggedEnds(t *testing.T) {
	s, _ := serve(t)
	r := robot(t, s, quaytest.Write("acme/app"))
	caps, err := r.Caps(t.Context())
	if err != nil || caps.UntaggedLife != time.Hour {
		t.Fatalf("untagged life %v (%v)", caps.UntaggedLife, err)
	}
	child, loose := content.Image("child", nil), content.Image("loose", nil)
	sig := content.Refer(loose, "application/x.sig", "sig")
	for _, m := range []*content.Manifest{child, loose, sig} {
		if err := trial.Push(t, r, "acme/app", m.Digest.String(), m); err != nil {
			t.Fatal(err)
		}
	}
	s.Later(50 * time.Minute)
	if err := trial.Push(t, r, "acme/app", child.Digest.String(), child); err != nil { // once more
		t.Fatal(err)
	}
	s.Later(50 * time.Minute)
	if err := trial.Push(t, r, "acme/app", "ix", content.Index([]*content.Manifest{child})); err != nil {
		t.Fatal(err)
	}
	s.Later(24 * time.Hour)
	for m, stays := range map[*content.Manifest]bool{child: true, sig: true, loose: false} {
		if _, err := r.Head(t.Context(), "acme/app", m.Digest.String()); (err == nil) != stays {
			t.Errorf("%s: %v", m.Digest, err)
		}
	}
}
