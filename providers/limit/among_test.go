package limit

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/transship/transship/providers"
)

// rateOf is how many times a second take returns, after a burst that is not counted.
func rateOf(t *testing.T, take func() error) float64 {
	t.Helper()
	const burst, n = 20, 100
	var start time.Time
	for i := range burst + n {
		if i == burst {
			start = time.Now()
		}
		if err := take(); err != nil {
			t.Fatal(err)
		}
	}
	return n / time.Since(start).Seconds()
}

func near(got, want float64) bool { return got > 0.97*want && got < 1.03*want }

// Requests, the width that is given and quotas are kept by all processes together:
// each keeps to its part, from the moment that their number is another one.
func TestAmong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &Among{}
		l := New(Options{Requests: 40, Max: 9, Among: a})
		q := NewQuotas([]providers.RateQuota{{Name: "PutImage", Ops: []string{providers.OpPutManifest},
			N: 20, Per: time.Second, Stated: true}}, Watch{}, a)
		for _, tt := range []struct{ n, width, parts int }{{0, 8, 1}, {3, 3, 3}, {20, 1, 20}, {1, 1, 1}} {
			a.Set(tt.n)
			requests := rateOf(t, func() error {
				_, err := l.Begin(t.Context())
				return err
			})
			quota := rateOf(t, func() error { return q.Take(t.Context(), providers.OpPutManifest, "app") })
			if want := 40 / float64(tt.parts); !near(requests, want) {
				t.Errorf("among %d: %.2f requests a second, want %.2f", tt.n, requests, want)
			}
			if want := 20 / float64(tt.parts); !near(quota, want) {
				t.Errorf("among %d: %.2f of the quota a second, want %.2f", tt.n, quota, want)
			}
			if l.Width() != tt.width {
				t.Errorf("among %d: the width is %d, want %d", tt.n, l.Width(), tt.width)
			}
		}
	})
}

// What is set later is divided, too; a width that nobody gave is each one's own.
func TestAmongSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &Among{}
		a.Set(4)
		l := New(Options{Among: a})
		if l.Width() != DefaultStart {
			t.Errorf("the width is %d, want %d", l.Width(), DefaultStart)
		}
		l.Set(Options{Requests: 40})
		got := rateOf(t, func() error {
			_, err := l.Begin(t.Context())
			return err
		})
		if !near(got, 10) {
			t.Errorf("%.2f requests a second, want 10", got)
		}
		q := NewQuotas([]providers.RateQuota{{Name: "x", Ops: []string{"x"}, N: 20, Per: time.Second, Stated: true}}, Watch{}, a)
		if got := rateOf(t, func() error { return q.Take(t.Context(), "x", "") }); !near(got, 5) {
			t.Errorf("%.2f of the quota a second, want 5", got)
		}
	})
}
