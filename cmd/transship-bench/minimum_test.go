package main

import (
	"testing"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

func TestMinimum(t *testing.T) {
	library := newLibrary(defaultSeed, 0.001)
	for _, tt := range []struct {
		scenario       string
		source, target int64
		apart          registrytest.Class // a class that must not be in it
	}{
		{"first", 781, 1108, registrytest.Ping},
		{"kill", 781, 1108, registrytest.ManifestHead},
		{"three-targets", 781, 3 * 1108, registrytest.BlobHead},
		{"unchanged", 10 + 400, 0, registrytest.Referrers},
		{"unchanged-2000", 1 + 2000, 0, registrytest.ManifestGet},
		{"one-change", 10 + 400 + 3, 3, registrytest.Mount}, // manifest, referrers and config; the layer is there
		{"shared", 30 + 30 + 30 + 38, 38 + 38 + 29*8 + 30, registrytest.UploadPatch},
		{"fat", 1 + 1 + 1 + 7, 7 + 7 + 1, registrytest.Mount},
	} {
		s, c := scenarioOf(t, tt.scenario), corpusOf(t, library, tt.scenario)
		m := s.minimum(c)
		if m.Source.total() != tt.source || m.Target.total() != tt.target {
			t.Errorf("%s: %d and %d requests, want %d and %d", tt.scenario, m.Source.total(), m.Target.total(), tt.source, tt.target)
		}
		if n := m.Source[tt.apart] + m.Target[tt.apart]; n != 0 {
			t.Errorf("%s: %d of %s in the minimum", tt.scenario, n, tt.apart)
		}
	}
}

func TestMinimumBytes(t *testing.T) {
	s := content.Shape{UniqueBytes: 100, SummedBytes: 300}
	m := minimumOfAll(s, 3)
	if m.SourceBytes != 100 || m.TargetBytes != 300 {
		t.Errorf("%d read and %d sent; three targets are sent each blob once and the source is read once", m.SourceBytes, m.TargetBytes)
	}
	if m := minimumOfNothing(s); m.SourceBytes+m.TargetBytes != 0 {
		t.Errorf("%d bytes for nothing", m.SourceBytes+m.TargetBytes)
	}
}

// scenarioOf finds a scenario with small sizes.
func scenarioOf(t *testing.T, name string) scenario {
	t.Helper()
	for _, s := range scenarios(defaultSeed, 0.001) {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("no scenario %q", name)
	return scenario{}
}

func corpusOf(t *testing.T, l *library, name string) corpus {
	t.Helper()
	c, err := l.get(scenarioOf(t, name).work)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
