package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers/all"
)

// Limits are divided by the replicas alive, seconds after one came or went; while
// state does not answer they are as many as they were.
func TestReplicasDivideLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // time orders the test and the count, but not for the race detector
		n, broken := 1, error(nil)
		now := func(count int, err error) {
			mu.Lock()
			defer mu.Unlock()
			n, broken = count, err
		}
		var said bytes.Buffer
		r := &replicas{among: &all.Among{}, log: slog.New(slog.NewTextHandler(&said, nil)),
			count: func(context.Context) (int, error) {
				mu.Lock()
				defer mu.Unlock()
				return n, broken
			}}
		ctx, stop := context.WithCancel(t.Context())
		go r.watch(ctx)
		rate := paceOf(policy.Limits{Bytes: 12 << 20}.Pace(), r.among)
		want := func(parts int) {
			t.Helper()
			synctest.Wait()
			at := time.Now()
			perSecond, until := rate(at)
			if got := r.among.N(); got != parts || r.alive() != float64(parts) || perSecond != float64(12<<20)/float64(parts) {
				t.Errorf("among %d, alive %v, %v bytes a second; want %d parts", got, r.alive(), perSecond, parts)
			}
			if until.Sub(at) > countEvery {
				t.Errorf("the pace is asked again after %v", until.Sub(at))
			}
		}
		want(1)
		now(3, nil)
		time.Sleep(countEvery)
		want(3)
		now(1, errors.New("state is gone"))
		time.Sleep(countEvery)
		want(3)
		now(1, nil)
		time.Sleep(countEvery)
		want(1)
		stop()
		synctest.Wait()
		if got := strings.Count(said.String(), "replicas counted"); got != 3 {
			t.Errorf("said %d times, want each change once:\n%s", got, said.String())
		}
	})
}
