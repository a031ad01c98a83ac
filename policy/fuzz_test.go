package policy

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzParse: no input panics, problems are in order and in the file, and what
// parses prints as JSON that parses to the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(design))
	for _, glob := range []string{"testdata/*.yaml", "testdata/*/*.y*ml", "examples/*.yaml"} {
		files, err := filepath.Glob(glob)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s has no files: %v", glob, err)
		}
		for _, file := range files {
			if strings.Contains(file, "bomb") {
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := Parse("f.yaml", data)
		if err != nil {
			checkProblems(t, problemsOf(t, err))
			return
		}
		first, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		first = shown(first)
		again, err := Parse("f.json", first)
		if err != nil {
			t.Fatalf("prints what does not parse:\n%s\n%v", first, err)
		}
		second, err := json.Marshal(again)
		if err != nil || !bytes.Equal(first, shown(second)) {
			t.Fatalf("prints\n%s\nand then\n%s, %v", first, second, err)
		}
		for _, r := range set.Rules {
			r.SelectTags(noon(), []TagInfo{{Name: "v1"}, {Name: "latest", Pushed: noon()}})
			r.Next(noon())
			for _, to := range r.To {
				_, _ = r.MapRepository(to, r.From.Registry, "a/b")
			}
		}
		set.Explain(Question{Registry: "prod", Repository: "a/b", Tag: "v1"})
		set.Warnings()
	})
}

// shown puts a URL in the place of secrets, because that is what a proxy is.
func shown(text []byte) []byte {
	return bytes.ReplaceAll(text, []byte(`"[redacted]"`), []byte(`"http://redacted"`))
}

func checkProblems(t *testing.T, ps Problems) {
	t.Helper()
	if len(ps) == 0 {
		t.Fatal("an error without problems")
	}
	for i, p := range ps {
		if p.Line < 1 && !strings.Contains(p.Message, "larger than") || p.Message == "" || p.File != "f.yaml" {
			t.Errorf("problem %+v", p)
		}
		if i > 0 && p.Line < ps[i-1].Line {
			t.Errorf("%v comes after %v", p, ps[i-1])
		}
	}
}

// FuzzGlob: a glob that is accepted matches in bounded time, and the prefix that
// registries are asked for never hides a match.
func FuzzGlob(f *testing.F) {
	f.Add("team-*/**", "team-a/web")
	f.Add("a/{**,b}", "a")
	f.Add("{a,b,{c,d}}*[!x]?", "aaa")
	f.Add(strings.Repeat("*a", 30)+"b", strings.Repeat("a", 200))
	f.Add(strings.Repeat("**/", 60)+"b", strings.Repeat("a/", 120))
	f.Add(strings.Repeat("{a,a}", 8), "aaaaaaab")
	f.Fuzz(func(t *testing.T, glob, name string) {
		if len(name) > maxRepository || checkNotation("repository", glob) != nil {
			return
		}
		r := Repositories{Include: []string{glob}}
		if ok, _ := r.Match(name); !ok {
			return
		}
		if !strings.HasPrefix(name, r.Prefix()) {
			t.Errorf("%q matches %q and does not begin with %q", glob, name, r.Prefix())
		}
		if names, literal := r.Literal(); literal && (len(names) != 1 || names[0] != name) {
			t.Errorf("%q matches %q and is taken for the names %q", glob, name, names)
		}
	})
}

// FuzzUnits: durations, sizes, rates and platforms print what they read back as.
func FuzzUnits(f *testing.F) {
	for _, text := range []string{"1h30m", "7d", "1.5GB", "64MiB", "40/s", "100/6h", "linux/arm/v7", "0s", "106751d23h47m16s854ms775us807ns"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := ParseDuration(text); err == nil {
			if again, err := ParseDuration(d.String()); err != nil || again != d || d < 0 {
				t.Errorf("duration %q is %v, then %v, %v", text, d, again, err)
			}
		}
		if std, err := time.ParseDuration(text); err == nil && std >= 0 {
			if d, err := ParseDuration(text); err == nil && d.Std() != std {
				t.Errorf("duration %q is %v, for Go %v", text, d, std)
			}
		}
		if s, err := ParseSize(text); err == nil {
			if again, err := ParseSize(s.String()); err != nil || again != s || s < 0 {
				t.Errorf("size %q is %v, then %v, %v", text, s, again, err)
			}
		}
		if r, err := ParseRate(text); err == nil {
			if again, err := ParseRate(r.String()); err != nil || again != r || r.PerSecond() <= 0 {
				t.Errorf("rate %q is %v, then %v, %v", text, r, again, err)
			}
		}
		if p, err := ParsePlatform(text); err == nil && p.String() != text {
			t.Errorf("platform %q prints %q", text, p)
		}
	})
}
