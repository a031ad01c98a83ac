package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// TestPulls holds what a plan tells of sources that allow so many manifests in a
// time, and that what waits for one is neither failed nor brought.
func TestPulls(t *testing.T) {
	until := time.Date(2026, 11, 28, 14, 0, 0, 0, time.UTC)
	w := newWorld(t, "v1=m1(c1 l1) v2=m2(c1 l2)", "")
	f, root := w.facts(), w.hash("m2")
	for _, src := range f.Sources {
		src.Pulls = &providers.Pulls{Limit: 100, Window: 6 * time.Hour, Reserve: 10, Left: 1}
		delete(src.Manifests, root)
		src.Failed = map[string]Failure{root.String(): {Kind: providers.Waiting, Reason: "no more", Hint: "later", Until: until}}
		src.Waits = map[v1.Hash]int{root: 90}
	}
	p := Diff(f)
	if len(p.Pulls) != 1 || p.Pulls[0].Read != 1 || p.Pulls[0].Waiting != 90 || p.Pulls[0].Windows != 2 {
		t.Errorf("pulls %+v", p.Pulls)
	}
	if len(p.Images) != 1 || len(p.Kept) != 1 || p.Kept[0].Kind != LeftWaiting || !p.Kept[0].Until.Equal(until) || p.Kept[0].Failed(true) {
		t.Errorf("%d images, kept %+v", len(p.Images), p.Kept)
	}
}

// TestSumPulls holds that what several targets want of one repository counts once.
func TestSumPulls(t *testing.T) {
	one := providers.Pulls{Limit: 100, Window: time.Hour, Reserve: 10, Left: 50}
	sum := SumPulls([]Pulls{
		{Registry: "hub", Repo: "b", Read: 10, Waiting: 5, Pulls: one},
		{Registry: "hub", Repo: "a", Read: 3, Waiting: 80, Pulls: one},
		{Registry: "hub", Repo: "a", Read: 7, Waiting: 70, Pulls: one},
		{Registry: "ghub", Repo: "a", Read: 1, Pulls: one},
	})
	var got []string
	for _, s := range sum {
		got = append(got, fmt.Sprintf("%s%s %d+%d in %d", s.Registry, s.Repo, s.Read, s.Waiting, s.Windows))
	}
	if text := strings.Join(got, ", "); text != "ghub 1+0 in 1, hub 17+85 in 2" {
		t.Errorf("sum is %s", text)
	}
	if SumPulls(nil) != nil {
		t.Error("nothing comes to something")
	}
}
