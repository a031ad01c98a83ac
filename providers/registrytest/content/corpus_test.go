package content

import "testing"

func TestBaselineHasItsShape(t *testing.T) {
	for _, seed := range []uint64{1, 7} {
		got := Baseline(seed, 0.001).Shape()
		got.UniqueBytes, got.SummedBytes = 0, 0
		if want := BaselineShape(); got != want {
			t.Errorf("seed %d\n got %+v\nwant %+v", seed, got, want)
		}
		if got.Source() != 781 || got.Target() != 1108 {
			t.Errorf("minimum %d and %d requests, want 781 and 1108", got.Source(), got.Target())
		}
	}
}

func TestBaselineHasItsBytes(t *testing.T) {
	s := Baseline(1, 0.01).Shape()
	if s.UniqueBytes < 3_000_000 || s.UniqueBytes > 3_900_000 || s.SummedBytes < 8_000_000 || s.SummedBytes > 10_000_000 {
		t.Errorf("%d bytes unique and %d summed, want about 1 %% of 336 MB and 887 MB", s.UniqueBytes, s.SummedBytes)
	}
}

func TestSharedAndMany(t *testing.T) {
	if s := Shared(1, 0.001).Shape(); s.Repositories != 30 || s.Blobs != 38 || s.Mounts != 29*8 {
		t.Errorf("shared: %+v", s)
	}
	if s := Many(3, 40).Shape(); s.Repositories != 3 || s.Tags != 120 || s.Manifests != 120 {
		t.Errorf("many: %+v", s)
	}
}
