package limit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/transship/transship/providers"
)

// A pace that changes while bytes flow reaches those that wait, in a quarter of a second.
func TestPaceChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		edge := start.Add(10 * time.Second)
		b := NewBytes(func(at time.Time) (float64, time.Time) {
			if at.Before(edge) {
				return 1000, edge
			}
			return 4000, time.Time{}
		})
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				l := New(Options{})
				l.bytes[Read] = b
				if n, err := io.Copy(io.Discard, l.Reader(t.Context(), Read, bytes.NewReader(make([]byte, 5000)))); n != 5000 || err != nil {
					t.Error(n, err)
				}
			})
		}
		wg.Wait()
		// 250 at once, 10,000 until the edge, the rest at the new pace.
		if took := time.Since(start) - 10*time.Second; took < 9500*time.Millisecond || took > 10250*time.Millisecond {
			t.Errorf("39,750 bytes at 4 kB/s took %v", took)
		}
	})
}

// A bound that is lifted lets go those that wait for it.
func TestBoundIsLifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{WriteBytes: Steady(10)})
		start := time.Now()
		time.AfterFunc(time.Minute, func() { l.Set(Options{}) })
		n, err := io.Copy(io.Discard, l.Reader(t.Context(), Write, bytes.NewReader(make([]byte, 1<<20))))
		if took := time.Since(start); n != 1<<20 || err != nil || took > time.Minute+time.Second {
			t.Errorf("%d bytes took %v: %v", n, took, err)
		}
	})
}

func TestBytesEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := NewBytes(Steady(4)), errors.New("stop")
		go b.Take(t.Context(), 100)
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(stop) })
		if err := b.Take(ctx, 1); !errors.Is(err, stop) {
			t.Errorf("error %v, want the cause", err)
		}
	})
}

// New bounds keep the width that was learned, and let go those that wait for one.
func TestSetKeepsTheWidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Max: 16})
		halved, err := l.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		halved.Throttled()
		learned := l.Width()
		l.Set(Options{Max: 32, Requests: 2, Burst: 1})
		if got := l.Width(); got != learned {
			t.Errorf("width %d, want %d as it was learned", got, learned)
		}
		start := time.Now()
		for range 5 {
			if _, err := l.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("five requests at 2/s took %v, want 2s", took)
		}
		if l.Set(Options{Max: 2}); l.Width() != 2 {
			t.Errorf("width %d, want 2 at most", l.Width())
		}
	})
}

// A quota whose figure is the same keeps its share; one that changed begins anew.
func TestQuotasSet(t *testing.T) {
	published := []providers.RateQuota{{Name: "puts", Ops: []string{"put manifest"}, N: 10, Per: time.Second}, {Name: "all", Ops: []string{"*"}, N: 100, Per: time.Second}}
	q := NewQuotas(published, Watch{}, nil)
	q.Refused("put manifest", "app")
	fell := q.Share("puts", "app")
	changed := []providers.RateQuota{published[0], {Name: "all", Ops: []string{"*"}, N: 50, Per: time.Second, Stated: true}}
	q.Set(changed)
	if got := q.Share("puts", "app"); got != fell || got == shareStart {
		t.Errorf("share %v, want %v as it was learned", got, fell)
	}
	if got := q.Share("all", "app"); got != 1 {
		t.Errorf("share %v of a figure that is stated, want 1", got)
	}
}

// What several hosts keep to together bounds their sum, whatever each may do alone.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := NewBytes(Steady(1000))
		var waited time.Duration
		var mu sync.Mutex
		watch := Watch{Waited: func(why Reason, took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			if waited += took; why != ForBytes {
				t.Errorf("waited for %s", why)
			}
		}}
		start := time.Now()
		var wg sync.WaitGroup
		for range 4 {
			l := New(Options{AllReads: all, ReadBytes: Steady(1e6), Watch: watch})
			wg.Go(func() {
				if _, err := io.Copy(io.Discard, l.Reader(t.Context(), Read, bytes.NewReader(make([]byte, 2500)))); err != nil {
					t.Error(err)
				}
				if _, err := io.Copy(io.Discard, l.Reader(t.Context(), Write, bytes.NewReader(make([]byte, 1e6)))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took != 9750*time.Millisecond {
			t.Errorf("10,000 bytes at 1 kB/s in all took %v, want 9.75s", took)
		}
		if waited < 9*time.Second {
			t.Errorf("told of %v waited", waited)
		}
	})
}
