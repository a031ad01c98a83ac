package plan

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/state"
)

var update = flag.Bool("update", false, "write the goldens anew")

// A plan's two forms, for people and for programs, are goldens.
func TestForms(t *testing.T) {
	for _, tt := range []struct {
		name, source, target string
		change               func(w *world)
	}{
		{"nothing", "v1=m1(c1 l1)", "app: v1=m1", nil},
		{"first", "v1=m1(c1 base l1) latest=m1 v2=ix[m1 m2(c2 base)] m1<s1(e b) m1.sig=g1(e sb)", "lib: x=mx(cx base)", nil},
		{"update", "v1=m2(c2 l1) v2=m3(c3 l1)", "app: v1=m1(c1 l1); app: v2=m9(c9 l9)", func(w *world) {
			w.ours["v2"] = state.TargetTag{Name: "v2", Source: w.hash("old"), Digest: w.hash("old"), PutAt: w.at}
		}},
		{"left", "v1=m2(c2 l1) v2=iy[m8] v3=m3(c3 l3)", "app: v1=m1(c1 l1); app: v3=m3", func(w *world) {
			w.rule.OnConflict = policy.Fail
			w.rule.OnGone = policy.Leave
			w.ours["v1"] = state.TargetTag{Name: "v1", Source: w.hash("old"), Digest: w.hash("old"), PutAt: w.at}
			delete(w.repos["app"].tags, "v3")
		}},
		{"readers", "v1=m1(c1 l1) v2=m2(c2 l2)", "", func(w *world) {
			w.rule.Readers, w.prices = readers("eu"), map[string]float64{"src": 90_000, "eu": 20_000}
			w.other("eu/mirror/app", "v1=m1")
		}},
		{"rewrite", "v1=ix[m1(c1)@linux/amd64 m2(c2)@linux/arm64]", "", func(w *world) {
			w.rule.Platforms = policy.Platforms{Only: []policy.Platform{{OS: "linux", Architecture: "amd64"}}, Mode: policy.Rewrite}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.source, tt.target)
			if tt.change != nil {
				tt.change(w)
			}
			f := w.facts()
			if f.Prices == nil {
				f.Prices = map[string]float64{"src": 0.12}
			}
			f.Target.Caps.Mount = providers.Yes
			p := Diff(f)
			golden(t, tt.name+".txt", []byte(p.String()))
			text, err := json.MarshalIndent(p, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, tt.name+".json", append(text, '\n'))
			var back Plan
			if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, p) {
				t.Errorf("a plan does not come back from JSON: %v", err)
			}
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run go test -update after looking\n got:\n%s\nwant:\n%s", path, got, want)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 1234: "1.23 kB", 999_499: "999 kB",
		999_600: "1 MB", 2_500_000_000: "2.5 GB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestExplain(t *testing.T) {
	w := newWorld(t, "v1=m1(c1 l1) v2=iy[m8]", "")
	p := Diff(w.facts())
	for ref, want := range map[string]int{"v1": 1, "v2": 1, "v3": 0, w.hash("m1").String(): 1} {
		if got := p.Explain(ref); len(got) != want {
			t.Errorf("Explain(%s) = %q", ref, got)
		}
	}
}

func TestDue(t *testing.T) {
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	early, late := 0, 0
	for i := range 1000 {
		key := string(rune('a'+i%26)) + time.Duration(i).String()
		if Due(key, now.Add(-30*time.Minute+time.Second), now, time.Hour) {
			early++
		}
		if !Due(key, now.Add(-time.Hour), now, time.Hour) {
			late++
		}
	}
	if early > 0 || late > 0 {
		t.Errorf("%d are due before half of the period, %d not after all of it", early, late)
	}
	middle := 0
	for i := range 1000 {
		if Due(time.Duration(i*7919).String(), now.Add(-45*time.Minute), now, time.Hour) {
			middle++
		}
	}
	if middle < 400 || middle > 600 {
		t.Errorf("%d of 1000 are due in the middle: they are not spread", middle)
	}
}
