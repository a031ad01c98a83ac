package providers

import "testing"

func TestPullsWindows(t *testing.T) {
	for _, tt := range []struct{ limit, reserve, n, want int }{
		{100, 10, 0, 0}, {100, 10, 1, 1}, {100, 10, 90, 1}, {100, 10, 91, 2}, {100, 10, 1000, 12},
		{1, 1, 3, 3}, // one that leaves us nothing still ends
	} {
		if got := (Pulls{Limit: tt.limit, Reserve: tt.reserve}).Windows(tt.n); got != tt.want {
			t.Errorf("%d manifests at %d less %d: %d windows, want %d", tt.n, tt.limit, tt.reserve, got, tt.want)
		}
	}
}
