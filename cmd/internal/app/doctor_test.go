package app

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
)

// A host that never answers costs a check its time and no more.
func TestCheckHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &doctor{}
		start := time.Now()
		f := d.run(t.Context(), "list", func(ctx context.Context) finding {
			<-ctx.Done()
			return failedBy(ctx, ctx.Err(), "")
		})
		if f.Verdict != failed || f.Detail != "no answer within 10s" || f.Name != "list" || time.Since(start) != checkTime {
			t.Errorf("%+v after %v", f, time.Since(start))
		}
		if len(d.up.Checks) != 1 {
			t.Errorf("checks %+v", d.up.Checks)
		}
	})
}

func TestFailedBy(t *testing.T) {
	err := &providers.Error{Kind: providers.Denied, Op: "list tags", Ref: "host", Hint: "do that", Err: errors.New("403")}
	if f := failedBy(t.Context(), err, "x"); f.Verdict != failed || f.Fix != "do that" || f.Detail != "list tags host: denied: 403" {
		t.Errorf("%+v", f)
	}
	if f := failedBy(t.Context(), nil, "x"); f != (finding{Verdict: fine, Detail: "x"}) {
		t.Errorf("%+v", f)
	}
}

func TestJudgeSkew(t *testing.T) {
	for _, tt := range []struct {
		skew time.Duration
		want grade
	}{{0, fine}, {-59 * time.Second, fine}, {time.Minute, warned}, {-4 * time.Minute, warned}, {5 * time.Minute, failed}, {-10 * time.Minute, failed}} {
		if f := judgeSkew(tt.skew); f.Verdict != tt.want || (f.Fix == "") != (tt.want == fine) {
			t.Errorf("%v: %+v, want %s", tt.skew, f, tt.want)
		}
	}
}

// Where a rule writes is known before anything was listed, if it names its sources.
func TestDoctorTriesWhatRulesWrite(t *testing.T) {
	set, err := policy.Parse("p.yaml", []byte(`
registries:
  src: {host: src.example.com}
  dst: {host: dst.example.com}
  gar: {host: europe-docker.pkg.dev}
  lab: {host: registry.gitlab.com}
rules:
  - name: named
    from: {registry: src, repositories: {include: [team/app]}}
    to: [{registry: dst, repository: "mirror/{{.Repository}}"}]
  - name: globs
    from: {registry: src, repositories: {include: ["team/**"]}}
    to: [{registry: gar, repository: "p/r/{{.Repository}}"}]
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ registry, listed, want string }{
		{"dst", "other", "mirror/team/app"}, {"gar", "p/r/x", "p/r/x"}, {"gar", "", ""},
		{"src", "", "transship-doctor"}, {"lab", "", ""}, // no source answers here
	} {
		d := &doctor{set: set, name: tt.registry, up: checkup{Provider: set.Registries[tt.registry].ProviderName()}}
		if got, _ := d.targetRepo(t.Context(), tt.listed); got != tt.want {
			t.Errorf("%s with %q listed: %q, want %q", tt.registry, tt.listed, got, tt.want)
		}
	}
}

// A registry that a target's readFrom names has to be readable, although it is only
// a target else.
func TestDoctorOfAReader(t *testing.T) {
	set, err := policy.Parse("p.yaml", []byte(`
registries:
  src: {host: src.example.com}
  eu: {host: eu.example.com}
  far: {host: far.example.com}
rules:
  - {name: apps, from: {registry: src}, to: [{registry: eu}, {registry: far, readFrom: [eu]}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	denied := &providers.Error{Kind: providers.Denied, Op: "list tags", Ref: "host", Err: errors.New("403")}
	for name, want := range map[string]struct {
		uses  []use
		grade grade
	}{
		"src": {[]use{{"apps", "source"}}, failed},
		"eu":  {[]use{{"apps", "target"}, {"apps", "reader"}}, failed},
		"far": {[]use{{"apps", "target"}}, warned},
	} {
		d := &doctor{set: set, name: name, up: checkup{Uses: usesOf(set, name)}}
		if got := d.cannotPull(t.Context(), denied).Verdict; got != want.grade || !slices.Equal(d.up.Uses, want.uses) {
			t.Errorf("%s: %s, uses %v", name, got, d.up.Uses)
		}
	}
}
