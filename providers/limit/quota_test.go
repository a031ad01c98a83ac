package limit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/transship/transship/providers"
)

var ecrLike = []providers.RateQuota{
	{Name: "PutImage", Ops: []string{providers.OpPutManifest}, N: 10, Per: time.Second},
	{Name: "Initiate", Ops: []string{providers.OpPostUpload}, N: 100, Per: time.Second},
}

// A host counts requests in a token bucket, as ECR does.
type host struct {
	mu      sync.Mutex
	n       float64 // a second
	burst   float64
	left    float64
	at      time.Time
	asked   int
	refused int
}

func (h *host) ask() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if !h.at.IsZero() {
		h.left = min(h.left+now.Sub(h.at).Seconds()*h.n, h.burst)
	} else {
		h.left = h.burst
	}
	h.at = now
	h.asked++
	if h.left < 1 {
		h.refused++
		return false
	}
	h.left--
	return true
}

// puts has many workers put n manifests at h, again where it refuses, and returns
// how long it took.
func puts(t *testing.T, q *Quotas, h *host, n, workers int) time.Duration {
	start := time.Now()
	work := make(chan int, n)
	for i := range n {
		work <- i
	}
	close(work)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for range work {
				for {
					if err := q.Take(t.Context(), providers.OpPutManifest, "app"); err != nil {
						t.Error(err)
						return
					}
					if h.ask() {
						break
					}
					q.Refused(providers.OpPutManifest, "app")
				}
			}
		})
	}
	all.Wait()
	return time.Since(start)
}

// TestQuotaIsKept is the bar: within 1.2 times of what the quota dictates, and at
// most one request in fifty is refused, alone and beside somebody else who uses a
// tenth of it.
func TestQuotaIsKept(t *testing.T) {
	for _, tt := range []struct {
		name   string
		theirs float64 // of the quota
		most   float64 // times what is left for us dictates
	}{{"alone", 0, 1.2}, {"beside others", 0.1, 1.35}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 600
				h := &host{n: 10, burst: 10}
				ctx, cancel := context.WithCancel(t.Context())
				var others sync.WaitGroup
				others.Go(func() {
					for tt.theirs > 0 && ctx.Err() == nil {
						time.Sleep(time.Duration(float64(time.Second) / (tt.theirs * h.n)))
						h.mu.Lock()
						h.left = max(0, h.left-1)
						h.mu.Unlock()
					}
				})
				took := puts(t, NewQuotas(ecrLike, Watch{}, nil), h, n, 16)
				cancel()
				others.Wait()
				dictated := time.Duration(n / (h.n * (1 - tt.theirs)) * float64(time.Second))
				if ratio := took.Seconds() / dictated.Seconds(); ratio > tt.most {
					t.Errorf("it took %v, %.2f times the %v that the quota dictates", took, ratio, dictated)
				}
				if part := float64(h.refused) / float64(h.asked); part > 0.02 {
					t.Errorf("%d of %d requests were refused", h.refused, h.asked)
				}
			})
		})
	}
}

// A host that allows less than it publishes is found out.
func TestQuotaFallsWithRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{n: 4, burst: 4}
		q := NewQuotas(ecrLike, Watch{}, nil)
		puts(t, q, h, 300, 16)
		h.asked, h.refused = 0, 0
		puts(t, q, h, 300, 16)
		if part := float64(h.refused) / float64(h.asked); part > 0.1 {
			t.Errorf("settled, %d of %d requests were refused", h.refused, h.asked)
		}
		if share := q.Share("PutImage", "app"); share > 0.5 {
			t.Errorf("the share is %.2f of a quota of which 0.4 is given", share)
		}
	})
}

func TestQuotaShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQuotas(ecrLike, Watch{}, nil)
		for _, want := range []float64{0.80, 0.85, 0.90, 0.95, 0.95} {
			if got := q.Share("PutImage", "app"); math.Abs(got-want) > 0.011 {
				t.Errorf("the share is %.3f, want %.2f", got, want)
			}
			for range 50 { // five seconds of use
				q.pool(0, "").now()
				time.Sleep(100 * time.Millisecond)
			}
		}
		for range 10 { // of one second
			q.Refused(providers.OpPutManifest, "app")
		}
		if got := q.Share("PutImage", "app"); math.Abs(got-0.76) > 0.011 {
			t.Errorf("after refusals within a second the share is %.3f, want 0.76", got)
		}
		time.Sleep(time.Hour) // a pause proves nothing
		q.pool(0, "").now()
		if got := q.Share("PutImage", "app"); got > 0.78 {
			t.Errorf("after a pause the share is %.3f", got)
		}
	})
}

// One operation's quota does not hold another one up, and one project's not another's.
func TestQuotasAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQuotas([]providers.RateQuota{
			{Name: "writes", Ops: []string{providers.WriteOps}, N: 60, Per: time.Minute, Prefix: 1},
			{Name: "all", Ops: []string{providers.AnyOp}, N: 6000, Per: time.Minute, Prefix: 1},
		}, Watch{}, nil)
		took := func(op, repo string, n int) time.Duration {
			start := time.Now()
			for range n {
				if err := q.Take(t.Context(), op, repo); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(start).Round(time.Second)
		}
		for _, step := range []struct {
			op, repo string
			n        int
			want     time.Duration
		}{
			{providers.OpPutUpload, "p1/a", 43, 50 * time.Second}, // 3 at once, then 0.8 a second, growing
			{providers.OpPutUpload, "p2/a", 3, 0},
			{providers.OpHeadManifest, "p1/a", 100, 0},
			{providers.OpPutManifest, "p1/b", 4, 5 * time.Second},
		} {
			if got := took(step.op, step.repo, step.n); got > step.want || got < step.want*7/10 {
				t.Errorf("%d × %s in %s took %v, want about %v", step.n, step.op, step.repo, got, step.want)
			}
		}
	})
}

func TestQuotaOfThePolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQuotas([]providers.RateQuota{{Name: "PutImage", Ops: []string{providers.OpPutManifest}, N: 50, Per: time.Second, Stated: true}}, Watch{}, nil)
		start := time.Now()
		for range 503 { // of which a burst of two
			if err := q.Take(t.Context(), providers.OpPutManifest, "app"); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start).Round(10 * time.Millisecond); took < 10*time.Second || took > 10100*time.Millisecond {
			t.Errorf("503 at the stated 50/s took %v, want 10s", took)
		}
	})
}

func TestQuotasEndWithTheirContext(t *testing.T) {
	var none *Quotas
	if err := none.Take(t.Context(), providers.OpPutManifest, ""); err != nil {
		t.Error(err)
	}
	none.Refused(providers.OpPutManifest, "")
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	for i, q := range []*Quotas{none, NewQuotas(ecrLike, Watch{}, nil)} {
		if err := q.Take(ctx, providers.OpPutManifest, ""); err != stop {
			t.Errorf("%s: error %v, want the cause", fmt.Sprint(i), err)
		}
	}
}
