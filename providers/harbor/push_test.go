package harbor

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/harbor/harbortest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestProjectThatIsMissing: it is named, with what to do, before anything is sent;
// nobody is told that the password is wrong, or asked for another token for ever.
func TestProjectThatIsMissing(t *testing.T) {
	s, _ := serve(t)
	target := robot(t, s, harbortest.On("*", harbortest.Writer...))
	_, rows := trial.Collect(target.Rows(t.Context(), "nope/app"))
	for what, err := range map[string]error{"rows": rows, "ensure": target.Ensure(t.Context(), "nope/app"), "try to push": target.TryPush(t.Context(), "nope/app")} {
		if providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "no project nope") || !strings.Contains(providers.HintOf(err), "create: {harbor: {}}") {
			t.Errorf("%s: %v; %s", what, err, providers.HintOf(err))
		}
	}
	if n := s.Counts().Of(registrytest.UploadPut, registrytest.ManifestPut); n != 0 || len(s.Projects()) != 1 {
		t.Errorf("%d writes; projects %v", n, s.Projects())
	}
	if who, err := target.Whoami(t.Context()); err != nil || who.Name != name {
		t.Errorf("after that the robot is %v (%v)", who, err)
	}
	src := open(t, s, name, s.Robot(name, harbortest.On("*", harbortest.Reader...)), source)
	if _, err := trial.Collect(src.Rows(t.Context(), "nope/app")); providers.KindOf(err) != providers.NotFound || !strings.Contains(providers.HintOf(err), "no project nope") {
		t.Errorf("of a source: %v; %s", err, providers.HintOf(err))
	}
}

// TestMakeProject: one that a push needs is made once, as the policy says; somebody
// else may be faster, and whoever may not is told so.
func TestMakeProject(t *testing.T) {
	s, m := serve(t)
	r := open(t, s, "robot$sync", s.Robot("robot$sync", harbortest.Creates()), func(o *Options) {
		o.Create = Create{Projects: true, Public: true, StorageLimit: 5 << 30}
	})
	if _, err := trial.Collect(r.Rows(t.Context(), "dr/app")); providers.KindOf(err) != providers.NotFound {
		t.Errorf("before it is made: %v", err)
	}
	if err := r.TryPush(t.Context(), "dr/app"); providers.KindOf(err) != providers.NotFound {
		t.Errorf("try before it is made: %v", err)
	}
	var g sync.WaitGroup
	for _, repo := range []string{"dr/app", "dr/lib", "dr/a/b"} {
		g.Go(func() {
			if err := r.Ensure(t.Context(), repo); err != nil {
				t.Errorf("ensure %s: %v", repo, err)
			}
		})
	}
	g.Wait()
	if p := s.Projects()["dr"]; !p.Public || p.StorageLimit != 5<<30 || s.Calls()["make project"] != 1 {
		t.Errorf("made %+v in %d calls", p, s.Calls()["make project"])
	}
	if err := trial.Push(t, r, "dr/app", "v1", m); err != nil || s.Verify("dr/app", "v1") != nil {
		t.Errorf("push: %v; %v", err, s.Verify("dr/app", "v1"))
	}
	s.Fail(1, "make project", registrytest.Refusal{Status: 409, Code: "CONFLICT", Message: "The project named raced already exists"})
	if err := r.Ensure(t.Context(), "raced/app"); err != nil {
		t.Errorf("somebody was faster: %v", err)
	}
	small := open(t, s, name, s.Robot(name, harbortest.On("acme", harbortest.Writer...)), makes)
	if err := small.Ensure(t.Context(), "mine/app"); providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "system robot") {
		t.Errorf("who may not: %v; %s", err, providers.HintOf(err))
	}
}

// TestMakeProjectAnew: a project that somebody deletes while we run is made anew by
// the next push, whoever tells first that it is gone; where projects are not made the
// error names it.
func TestMakeProjectAnew(t *testing.T) {
	for how, miss := range map[string]bool{"told by the registry": false, "told by the token service": true} {
		t.Run(how, func(t *testing.T) {
			s, m := serve(t)
			s.Configure(func(q *harbortest.Quirks) { q.TokensMiss = miss })
			r := open(t, s, "robot$sync", s.Robot("robot$sync", harbortest.Creates()), makes)
			push := func(repo string) error {
				if err := r.Ensure(t.Context(), repo); err != nil {
					return err
				}
				return trial.Push(t, r, repo, "v1", m)
			}
			if err := push("dr/app"); err != nil {
				t.Fatal(err)
			}
			s.Delete("dr")
			if miss {
				s.ExpireTokens()
			}
			if err := push("dr/lib"); err != nil || s.Verify("dr/lib", "v1") != nil {
				t.Errorf("after it was deleted: %v; %v", err, s.Verify("dr/lib", "v1"))
			}
			if n := s.Calls()["make project"]; n != 2 {
				t.Errorf("made %d times, want 2", n)
			}
		})
	}
	s, m := serve(t)
	r := robot(t, s, harbortest.On("*", harbortest.Writer...))
	if err := errors.Join(r.Ensure(t.Context(), "acme/a"), trial.Push(t, r, "acme/a", "v1", m)); err != nil {
		t.Fatal(err)
	}
	s.Delete("acme")
	err := trial.Push(t, r, "acme/b", "v1", m)
	trial.WantKind(t, err, providers.Denied, "no project acme")
}

// TestEnsure: a project that is there is looked for once, also by a robot that may not
// read it and where there is no API; one whose name is a number is no id.
func TestEnsure(t *testing.T) {
	s, _ := serve(t)
	s.Project("42", harbortest.Project{})
	pushes := []string{harbortest.Pull, harbortest.Push}
	r := robot(t, s, harbortest.On("acme", pushes...), harbortest.On("42", harbortest.Writer...))
	for range 2 {
		for _, repo := range []string{"acme/a", "acme/b", "42/app"} {
			if err := r.Ensure(t.Context(), repo); err != nil {
				t.Errorf("%s: %v", repo, err)
			}
		}
	}
	if c := s.Calls(); c["project"] != 2 || c["find project"] != 1 {
		t.Errorf("calls %v", c)
	}
	if err := r.Ensure(t.Context(), "nope/app"); providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "no project nope") {
		t.Errorf("one that is not there, for who may not read it: %v", err)
	}
	s.Configure(func(q *harbortest.Quirks) { q.NoAPI = true })
	if err := r.Ensure(t.Context(), "other/app"); err != nil {
		t.Errorf("without an API: %v", err)
	}
}

// TestRobotWithoutPush: who may pull and not push is told what to grant where.
func TestRobotWithoutPush(t *testing.T) {
	s, m := serve(t)
	r := robot(t, s, harbortest.On("acme", harbortest.Reader...))
	if _, err := r.Head(t.Context(), "acme/team/app", "v1"); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"push": trial.Push(t, r, "acme/team/app", "v2", m), "try": r.TryPush(t.Context(), "acme/team/app")} {
		if providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "push on project acme") {
			t.Errorf("%s: %v; %s", what, err, providers.HintOf(err))
		}
	}
	if _, err := r.Head(t.Context(), "acme/team/app", "v1"); err != nil { // Harbor has asked for a password meanwhile
		t.Error(err)
	}
	wrong := open(t, s, "sync", "x")
	if _, err := wrong.Head(t.Context(), "acme/team/app", "v1"); providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "robot$project+name") {
		t.Errorf("a robot that is called wrongly: %v; %s", err, providers.HintOf(err))
	}
	if who, err := open(t, s, "", "").Whoami(t.Context()); err != nil || who.Name != providers.Anonymous {
		t.Errorf("nobody: %v (%v)", who, err)
	}
}

// TestRefusals: in the kinds that say what to do.
func TestRefusals(t *testing.T) {
	for what, tt := range map[string]struct {
		project harbortest.Project
		quirk   func(*harbortest.Quirks)
		wire    func(*registrytest.Quirks)
		read    bool
		kind    providers.Kind
		says    string
	}{
		"an immutable tag":                 {wire: func(q *registrytest.Quirks) { q.Immutable = registrytest.ImmutableHarbor }, kind: providers.Conflict, says: "immutability rule"},
		"a full project":                   {project: harbortest.Project{Full: true}, kind: providers.Quota, says: "project acme"},
		"a proxy cache":                    {project: harbortest.Project{Proxy: true}, kind: providers.Unsupported, says: "proxy cache"},
		"read only":                        {quirk: func(q *harbortest.Quirks) { q.ReadOnly = true }, kind: providers.Unavailable, says: "read only"},
		"held back":                        {project: harbortest.Project{HoldsBack: true}, read: true, kind: providers.Denied, says: "policy"},
		"no manifest in the words of 2.10": {quirk: func(q *harbortest.Quirks) { q.Unknown = true }, read: true, kind: providers.NotFound, says: ""},
	} {
		t.Run(what, func(t *testing.T) {
			s, _ := serve(t)
			s.Project("acme", tt.project)
			if tt.quirk != nil {
				s.Configure(tt.quirk)
			}
			if tt.wire != nil {
				s.Set(tt.wire)
			}
			r := robot(t, s, harbortest.On("acme", harbortest.Writer...))
			tag := "v1"
			if tt.kind == providers.NotFound {
				tag = "absent"
			}
			_, err := r.Manifest(t.Context(), "acme/team/app", tag)
			if !tt.read {
				err = trial.Push(t, r, "acme/team/app", tag, content.Image("y", nil))
			}
			e, ok := errors.AsType[*providers.Error](err)
			if !ok || e.Kind != tt.kind || !strings.Contains(e.Hint, tt.says) || !strings.Contains(e.Ref, "acme/team/app") {
				t.Errorf("%#v (%v)", e, err)
			}
			if tt.project.Proxy {
				if err := r.Ensure(t.Context(), "acme/team/app"); providers.KindOf(err) != providers.Unsupported || !strings.Contains(providers.HintOf(err), "another project") {
					t.Errorf("ensure: %v; %s", err, providers.HintOf(err))
				}
			}
		})
	}
}

// TestMount: between projects, too; from one that is not there it is a refusal, after
// which the same token service and the same robot go on.
func TestMount(t *testing.T) {
	for _, miss := range []bool{false, true} {
		s, m := serve(t)
		s.Configure(func(q *harbortest.Quirks) { q.TokensMiss = miss })
		s.Project("dr", harbortest.Project{})
		r := robot(t, s, harbortest.On("acme", harbortest.Reader...), harbortest.On("dr", harbortest.Writer...))
		if mounted, _, err := r.Mount(t.Context(), "dr/app", "acme/team/app", m.Blobs[0].Digest); !mounted || err != nil {
			t.Errorf("mount: %v (%v)", mounted, err)
		}
		s.Project("secret", harbortest.Project{})
		load(t, s, "secret/app", m, "v1")
		froms := []string{"gone/app", "secret/app", "gone/app"}
		if miss {
			froms = froms[:1] // whoever is refused with a token is asked for a password from then on
		}
		for _, from := range froms {
			if mounted, session, err := r.Mount(t.Context(), "dr/app", from, m.Blobs[1].Digest); mounted || session != nil || err != nil {
				t.Errorf("mount from %s: %v, %v (%v)", from, mounted, session, err)
			}
		}
		if err := trial.Push(t, r, "dr/other", "v1", m); err != nil || s.Verify("dr/other", "v1") != nil { // which wants a token of its own
			t.Errorf("push after that (token service refuses %v): %v", miss, err)
		}
	}
}

// TestTokensEnd: a token that is over in the middle of a copy is renewed.
func TestTokensEnd(t *testing.T) {
	s, m := serve(t)
	r := robot(t, s, harbortest.On("acme", harbortest.Writer...))
	for _, tag := range []string{"v2", "v3"} {
		if err := trial.Push(t, r, "acme/team/app", tag, m); err != nil || s.Tags("acme/team/app")[tag] != m.Digest {
			t.Errorf("%s: %v", tag, err)
		}
		s.ExpireTokens()
	}
}
