package ecr

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

var settings = Create{
	Immutability: "IMMUTABLE", Exclusions: []string{"latest*"}, ScanOnPush: true, KMSKey: "alias/ecr",
	LifecyclePolicy: []byte(`{"rules": []}`), RepositoryPolicy: []byte(`{"Statement": []}`),
	Tags: map[string]string{"team": "a"},
}

var wanted = ecrtest.Settings{
	Mutability: "IMMUTABLE_WITH_EXCLUSION", Exclusions: []string{"latest*"}, ScanOnPush: true, KMSKey: "alias/ecr",
	LifecyclePolicy: `{"rules": []}`, Policy: `{"Statement": []}`, Tags: map[string]string{"team": "a"},
}

// TestEnsure: what is made on demand has the policy's settings, is made once
// however many ask, and is asked about once.
func TestEnsure(t *testing.T) {
	s := ecrtest.New(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	r := open(t, s, func(o *Options) { o.Create = settings })
	var g sync.WaitGroup
	for range 20 {
		g.Go(func() {
			if err := r.Ensure(t.Context(), "team/app"); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	if got := s.Settings("team/app"); !reflect.DeepEqual(got, wanted) {
		t.Errorf("made with %+v", got)
	}
	calls := s.Calls()
	if calls["CreateRepository"] != 1 || calls["DescribeRepositories"] != 1 || calls["PutLifecyclePolicy"] != 1 {
		t.Errorf("calls %v", calls)
	}
}

// TestEnsureLeavesAlone: a repository that is there stays as it is.
func TestEnsureLeavesAlone(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	before := s.Settings("team/app")
	r := open(t, s, func(o *Options) { o.Create = settings })
	if err := r.Ensure(t.Context(), "team/app"); err != nil {
		t.Fatal(err)
	}
	if got := s.Settings("team/app"); !reflect.DeepEqual(got, before) {
		t.Errorf("changed to %+v", got)
	}
	if _, err := trial.Collect(r.Rows(t.Context(), "team/app")); err != nil {
		t.Fatal(err)
	}
	listed := open(t, s)
	if _, err := trial.Collect(listed.Rows(t.Context(), "team/app")); err != nil {
		t.Fatal(err)
	}
	s.ResetCalls()
	if err := listed.Ensure(t.Context(), "team/app"); err != nil || len(s.Calls()) != 0 {
		t.Errorf("what was listed is asked about again: %v (%v)", s.Calls(), err)
	}
}

// TestEnforce: only what differs is set, and what cannot be changed is left.
func TestEnforce(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	enforce := func() {
		t.Helper()
		r := open(t, s, func(o *Options) { o.Create = settings; o.Create.Enforce = true })
		if err := r.Ensure(t.Context(), "team/app"); err != nil {
			t.Fatal(err)
		}
	}
	enforce()
	want := wanted
	want.KMSKey = "" // it has none and cannot get one
	if got := s.Settings("team/app"); !reflect.DeepEqual(got, want) {
		t.Errorf("set to %+v", got)
	}
	s.ResetCalls()
	enforce()
	for op, n := range s.Calls() {
		if strings.HasPrefix(op, "Put") || strings.HasPrefix(op, "Set") || op == "TagResource" {
			t.Errorf("%d %s although nothing differs", n, op)
		}
	}
}

// TestTwoReplicas make the same repository at once, and neither fails.
func TestTwoReplicas(t *testing.T) {
	s := ecrtest.New(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	var g sync.WaitGroup
	for range 6 {
		r := open(t, s, func(o *Options) { o.Create = settings })
		g.Go(func() {
			for _, repo := range []string{"a1", "a2", "a3"} {
				if err := r.Ensure(t.Context(), repo); err != nil {
					t.Error(err)
				}
			}
		})
	}
	g.Wait()
	if got := s.Repositories(); !slices.Equal(got, []string{"a1", "a2", "a3"}) {
		t.Errorf("repositories %v", got)
	}
}

// TestDeletedMeanwhile: a repository that somebody deletes is made anew by the next
// push, once however many there are.
func TestDeletedMeanwhile(t *testing.T) {
	s := ecrtest.New(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	r := open(t, s, func(o *Options) { o.Create = settings })
	if err := r.Ensure(t.Context(), "team/app"); err != nil {
		t.Fatal(err)
	}
	s.Drop("team/app")
	s.ResetCalls()
	var g sync.WaitGroup
	for i := range 8 {
		g.Go(func() {
			b := content.Layer(fmt.Sprint(i), 1000)
			if _, err := r.Put(t.Context(), "team/app", b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	if calls := s.Calls(); calls["CreateRepository"] != 1 || calls["DescribeRepositories"] != 1 {
		t.Errorf("calls %v", calls)
	}
	if got := s.Settings("team/app"); !reflect.DeepEqual(got, wanted) {
		t.Errorf("made anew with %+v", got)
	}
	s.Drop("team/app") // within a minute: the push tells
	m := content.Image("x", nil)
	if _, err := r.PutManifest(t.Context(), "team/app", "v1", m.Manifest, providers.PutOptions{}); providers.KindOf(err) != providers.NotFound {
		t.Errorf("deleted twice in a row: %v", err)
	}
}

// TestDenied: a host that denies a repository which its API shows is asked twice a
// push at most, and its API once.
func TestDenied(t *testing.T) {
	for name, tt := range map[string]struct {
		create           Create
		pushes, describe int64
	}{"made": {Create{}, 2, 1}, "never": {Create{Never: true}, 1, 0}, "by template": {Create{Template: true}, 1, 0}} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, ecrtest.Options{})
			signedIn(t, s.IAM().User("sync"))
			r := open(t, s, func(o *Options) { o.Create = tt.create })
			if err := r.Ensure(t.Context(), "team/app"); err != nil {
				t.Fatal(err)
			}
			s.ResetCalls()
			s.ResetCounts()
			s.Next(100, registrytest.UploadPost, registrytest.Fault{Status: 404, Code: "NAME_UNKNOWN", Message: "no such repository"})
			const n = 5
			for i := range n {
				b := content.Layer(fmt.Sprint(i), 1000)
				_, err := r.Put(t.Context(), "team/app", b.Descriptor, b.Content, providers.UploadOptions{})
				if providers.KindOf(err) != providers.NotFound {
					t.Errorf("%v", err)
				}
			}
			if got := s.Counts().Requests[registrytest.UploadPost]; got != n*tt.pushes || s.Calls()["DescribeRepositories"] != tt.describe {
				t.Errorf("%d pushes were tried %d times; %v", n, got, s.Calls())
			}
		})
	}
}

// TestUnfinished: a repository whose policy could not be set gets it next time.
func TestUnfinished(t *testing.T) {
	s := ecrtest.New(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	r := open(t, s, func(o *Options) { o.Create = settings })
	s.Fail(1, "PutLifecyclePolicy", ecrtest.Fault{Code: "InvalidParameterException", Message: "no"})
	if err := r.Ensure(t.Context(), "team/app"); providers.KindOf(err) != providers.Invalid {
		t.Errorf("a policy that is refused: %v", err)
	}
	if _, err := trial.Collect(r.Rows(t.Context(), "team/app")); err != nil {
		t.Fatal(err)
	}
	if err := r.Ensure(t.Context(), "team/app"); err != nil {
		t.Fatal(err)
	}
	if got := s.Settings("team/app"); got.LifecyclePolicy == "" || got.Policy == "" {
		t.Errorf("left with %+v", got)
	}
}

// TestRefusedToMake: the quota of repositories, a key that is not there.
func TestRefusedToMake(t *testing.T) {
	s := ecrtest.New(t, ecrtest.Options{Quirks: func(q *ecrtest.Quirks) { q.Repositories = 1 }})
	signedIn(t, s.IAM().User("sync"))
	s.Create("first")
	r := open(t, s)
	err := r.Ensure(t.Context(), "second")
	if providers.KindOf(err) != providers.Quota || s.Calls()["CreateRepository"] != 1 {
		t.Errorf("over the quota: %v, tried %d times", err, s.Calls()["CreateRepository"])
	}
	s.Configure(func(q *ecrtest.Quirks) { q.Repositories = 100 })
	err = open(t, s, func(o *Options) { o.Create.KMSKey = "missing" }).Ensure(t.Context(), "second")
	if providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "KMS") {
		t.Errorf("a key that is not there: %v", err)
	}
}

// TestLeftToTheTemplate: nothing is made; the push makes it, or says what is missing.
func TestLeftToTheTemplate(t *testing.T) {
	s := ecrtest.New(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	for _, c := range []Create{{Template: true}, {Never: true}} {
		r := open(t, s, func(o *Options) { o.Create = c })
		if err := r.Ensure(t.Context(), "team/app"); err != nil || s.Calls()["CreateRepository"] != 0 {
			t.Fatalf("%+v: %v, %v", c, err, s.Calls())
		}
	}
	r := open(t, s, func(o *Options) { o.Create.Template = true })
	b := content.Layer("l", 100)
	_, err := r.Put(t.Context(), "team/app", b.Descriptor, b.Content, providers.UploadOptions{})
	if providers.KindOf(err) != providers.NotFound || !strings.Contains(providers.HintOf(err), "creation template") {
		t.Errorf("without a template: %v; %s", err, providers.HintOf(err))
	}
	s.Template("team", ecrtest.Settings{Mutability: "IMMUTABLE"})
	if _, err := r.Put(t.Context(), "team/app", b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
		t.Error(err)
	}
	if got := s.Settings("team/app"); got.Mutability != "IMMUTABLE" {
		t.Errorf("made with %+v", got)
	}
}

// TestImmutableTag: a tag that stays is a conflict, whatever the digest.
func TestImmutableTag(t *testing.T) {
	s := ecrtest.New(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	m, other := content.Image("x", nil), content.Image("y", nil)
	for _, m := range []*content.Manifest{m, other} {
		if err := s.Load("app", m); err != nil {
			t.Fatal(err)
		}
	}
	s.Change("app", ecrtest.Settings{Mutability: "IMMUTABLE"})
	r := open(t, s)
	if _, err := r.PutManifest(t.Context(), "app", "v1", m.Manifest, providers.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, again := range []*content.Manifest{m, other} {
		if _, err := r.PutManifest(t.Context(), "app", "v1", again.Manifest, providers.PutOptions{}); providers.KindOf(err) != providers.Conflict {
			t.Errorf("put over an immutable tag: %v", err)
		}
	}
}

// TestCaps: mounting is the account's setting, read once; of another account it is
// not known.
func TestCaps(t *testing.T) {
	s := ecrtest.New(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	mount := func(r *Registry, want providers.Tri, from providers.Source) {
		t.Helper()
		for range 3 {
			c, err := r.Caps(t.Context())
			if err != nil || c.Mount != want || c.Source(providers.CapMount) != from || !c.MountNeedsManifest || c.Chunks != providers.No || c.SparseIndex != providers.No {
				t.Errorf("%+v (%v), want mount %v by %s", c, err, want, from)
			}
		}
	}
	mount(open(t, s), providers.No, providers.Account)
	s.EnableMounting()
	s.ResetCalls()
	mount(open(t, s), providers.Yes, providers.Account)
	if n := s.Calls()["GetAccountSetting"]; n != 1 {
		t.Errorf("the setting was read %d times", n)
	}
	real := func(account string) *Registry {
		return open(t, s, func(o *Options) {
			o.OCI.Host, o.Identity.Region, o.OCI.Base = account+".dkr.ecr.eu-west-1.amazonaws.com", "", toEmulator{s}
		})
	}
	mount(real("123456789012"), providers.Yes, providers.Account)
	mount(real("999999999999"), providers.Maybe, providers.Guessed)
	signedIn(t, s.IAM().User("poor", "ecr:GetAuthorizationToken"))
	mount(open(t, s), providers.Maybe, providers.Guessed)
	mount(open(t, s, func(o *Options) { o.OCI.Stated = map[string]providers.Tri{providers.CapMount: providers.Yes} }), providers.Yes, providers.Stated)
}

// TestPermissions: what the policy says is enough, and nothing of it is too much.
func TestPermissions(t *testing.T) {
	for name, tt := range map[string]struct {
		push bool
		c    Create
	}{
		"read": {}, "write": {push: true, c: Create{Never: true}}, "create": {push: true, c: settings},
		"enforce": {push: true, c: func() Create { c := settings; c.Enforce = true; return c }()},
	} {
		t.Run(name, func(t *testing.T) {
			all := granted(t, permissions(Host{"123456789012", "eu-west-1", "aws", false, false}, tt.c, tt.push))
			for i := -1; i < len(all); i++ {
				actions := slices.Clone(all)
				if i >= 0 {
					actions = slices.Delete(actions, i, i+1)
				}
				err := use(t, tt.push, tt.c, actions)
				switch {
				case i < 0 && err != nil:
					t.Errorf("with all of %v: %v", all, err)
				case i >= 0 && err == nil && !optional[all[i]]:
					t.Errorf("%s is not needed", all[i])
				}
			}
		})
	}
}

// optional are the actions without which less is known, or for which the emulator
// does not ask.
var optional = map[string]bool{
	"ecr:GetAccountSetting":    true, // mounts are tried then
	"ecr:ListImages":           true, // tags/list, where the API is not ours
	"ecr:DescribeRepositories": true, // Ensure leaves it to the push
	"ecr:UploadLayerPart":      true, // AWS wants it for a whole PUT too
}

func granted(t *testing.T, policy string) (actions []string) {
	t.Helper()
	var doc struct{ Statement []statement }
	if err := json.Unmarshal([]byte(policy), &doc); err != nil {
		t.Fatal(err)
	}
	for _, s := range doc.Statement {
		actions = append(actions, s.Action...)
	}
	return actions
}

// use does all that a registry is used for, with an identity of these actions.
func use(t *testing.T, push bool, c Create, actions []string) error {
	s := serve(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync", actions...))
	r := open(t, s, func(o *Options) { o.Create = c })
	ask := []func() error{
		func() error { _, err := trial.Collect(r.Repositories(t.Context(), "")); return err },
		func() error { _, err := trial.Collect(r.Rows(t.Context(), "team/app")); return err },
		func() error { _, err := r.Manifest(t.Context(), "team/app", "v1"); return err },
		func() error {
			b := content.Layer("l", 1000)
			if _, err := r.Stat(t.Context(), "team/app", b.Digest); err != nil {
				return err
			}
			body, err := r.Open(t.Context(), "team/app", b.Descriptor, 0)
			if err == nil {
				err = body.Close()
			}
			return err
		},
	}
	if push {
		repo := "team/new"
		if c.Never {
			repo = "team/app"
		}
		m := content.Image("new", nil)
		ask = append(ask, func() error { return r.Ensure(t.Context(), repo) },
			func() error {
				if !c.Enforce {
					return nil
				}
				return r.Ensure(t.Context(), "team/app")
			},
			func() error {
				_, err := r.Put(t.Context(), repo, m.Blobs[0].Descriptor, m.Blobs[0].Content, providers.UploadOptions{})
				return err
			},
			func() error {
				_, err := r.PutManifest(t.Context(), repo, "v2", m.Manifest, providers.PutOptions{})
				return err
			})
	}
	for _, f := range ask {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}
