package main

import (
	"strings"
	"testing"
)

// Every scenario has a corpus that counts what it should, whatever the seed.
func TestCorpora(t *testing.T) {
	for _, seed := range []uint64{defaultSeed, 1} {
		library := newLibrary(seed, 0.0005)
		for _, s := range scenarios(seed, 0.0005) {
			if _, err := library.get(s.work); err != nil {
				t.Errorf("seed %d, %s: %v", seed, s.name, err)
			}
		}
	}
}

func TestCorpusThatHasChanged(t *testing.T) {
	w := works()[0]
	for _, tt := range []struct {
		name           string
		unique, summed int64
		seed           uint64
		scale          float64
		tags           int
		want           string
	}{
		{"as it should be", 336e6, 887e6, defaultSeed, 1, 110, ""},
		{"within two in a hundred", 333e6, 893e6, defaultSeed, 1, 110, ""},
		{"too large", 360e6, 887e6, defaultSeed, 1, 110, "bytes unique"},
		{"another seed", 360e6, 980e6, 1, 1, 110, ""},
		{"summed too small", 336e6, 700e6, 1, 1, 110, "bytes summed"},
		{"small sizes are not looked at", 5, 5, defaultSeed, 0.5, 110, ""},
		{"a tag too many", 336e6, 887e6, defaultSeed, 1, 111, "Tags:111"},
	} {
		shape := *w.want
		shape.UniqueBytes, shape.SummedBytes, shape.Tags = tt.unique, tt.summed, tt.tags
		err := w.check(shape, tt.seed, tt.scale)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestRandomIsTheSameForASeed(t *testing.T) {
	a, b, other := random(3, 0.001).Shape(), random(3, 0.001).Shape(), random(4, 0.001).Shape()
	if a != b || a == other {
		t.Errorf("seed 3 gives %+v and %+v, seed 4 %+v", a, b, other)
	}
	if a.Referrers == 0 || a.Aliases == 0 || a.Mounts == 0 || a.CosignTags == 0 {
		t.Errorf("seed 3 lacks a kind of content: %+v", a)
	}
}
