package oci

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/transship/transship/providers"
)

// Those who wait for a repository that cannot be made fail with the one who tried.
func TestEnsuredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e Ensured
		var tried atomic.Int64
		failed := errors.New("no")
		ensure := func(context.Context) error {
			time.Sleep(time.Second)
			if tried.Add(1) == 1 {
				return failed
			}
			return nil
		}
		for _, want := range []error{failed, nil, nil} {
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					if err := e.Do(t.Context(), "app", ensure); err != want {
						t.Errorf("%v, want %v", err, want)
					}
				})
			}
			all.Wait()
		}
		if tried.Load() != 2 {
			t.Errorf("tried %d times, want 2", tried.Load())
		}
		e.Wait()
	})
}

// A push is done once more where the repository was there before, and what is denied
// again and again is looked for once a minute.
func TestEnsuredPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e Ensured
		gone := errors.New("gone")
		pushes, ensures := 0, 0
		push := func() {
			t.Helper()
			err := e.Push("app", func() error { pushes++; return gone }, func(err error) bool { return err == gone }, func() error {
				return e.Do(t.Context(), "app", func(context.Context) error { ensures++; return nil })
			})
			if err != gone {
				t.Errorf("got %v", err)
			}
		}
		want := func(p, n int) {
			t.Helper()
			if pushes != p || ensures != n {
				t.Errorf("%d pushes and %d looks, want %d and %d", pushes, ensures, p, n)
			}
		}
		push() // nobody knows of it
		want(1, 0)
		e.Note("app")
		push()
		want(3, 1)
		push()
		want(5, 1)
		time.Sleep(forgetEvery)
		push()
		want(7, 2)
		e.Wait()
	})
}

// TestEnsuredWhileOthersMake holds that a push which is denied is tried again if what
// it goes to was made anew since it began, and only then.
func TestEnsuredWhileOthersMake(t *testing.T) {
	denied := &providers.Error{Kind: providers.Denied, Op: "put", Ref: "r", Err: errors.New("denied")}
	never := func(error) bool { return false }
	for name, anew := range map[string]bool{"made anew": true, "there all the time": false} {
		t.Run(name, func(t *testing.T) {
			var e Ensured
			e.Note("r")
			pushes, ensures := 0, 0
			err := e.Push("r", func() error {
				if pushes++; pushes > 1 {
					return nil
				}
				if anew {
					e.Forget("r")
					e.Note("r")
				}
				return denied
			}, never, func() error { ensures++; return nil })
			if want := map[bool]int{true: 2, false: 1}[anew]; pushes != want || (err == nil) != anew || ensures != want-1 {
				t.Errorf("%d pushes, %d looks, %v", pushes, ensures, err)
			}
		})
	}
}
