package oci

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

// A token service that is down at the start is asked by one, and all who wait fail
// with that one; the next try comes after a pause.
func TestTokenServiceThatIsAwayAtTheStart(t *testing.T) {
	for name, fault := range map[string]registrytest.Fault{
		"503": registrytest.Unavailable(""), "429": registrytest.Throttled(""), "reset": {Break: registrytest.Reset},
	} {
		t.Run(name, func(t *testing.T) {
			const repos, budget = 20, 3
			s := bearerServer(t, nil)
			r := open(t, s, signedIn, func(o *Options) { o.Retry.Tries = budget })
			s.Before(func(_ *http.Request, c registrytest.Class) *registrytest.Fault {
				if c != registrytest.Token {
					return nil
				}
				return &fault
			})
			var all sync.WaitGroup
			for i := range repos {
				repo := fmt.Sprint("app", i)
				load(t, s, repo, image("app"), "v1")
				all.Go(func() {
					_, err := r.Head(t.Context(), repo, "v1")
					if e := wantKind(t, err, providers.KindOf(err)); !e.Kind.Retryable() {
						t.Errorf("%v", err)
					}
				})
			}
			all.Wait()
			if n := tokensAsked(s); n != budget {
				t.Errorf("the token service was asked %d times, want one budget of %d", n, budget)
			}
			s.Before(nil)
			if _, err := r.Head(t.Context(), "app0", "v1"); err == nil {
				t.Error("asked again at once")
			}
			r.sign.stop.until = time.Now() // as if the time had passed
			if _, err := r.Head(t.Context(), "app0", "v1"); err != nil {
				t.Errorf("after the pause: %v", err)
			}
		})
	}
}

// The pause is what the service asks for, within reason.
func TestPauseOfAServiceThatIsAway(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{0: pauseFor, time.Minute: time.Minute, 24 * time.Hour: stopMost} {
		var s stopper
		before := time.Now()
		s.stop(&providers.Error{Kind: providers.Throttled, After: after}, nil)
		if got := s.until.Sub(before); got < want || got > want+time.Minute/2 {
			t.Errorf("after %v a pause of %v, want %v", after, got, want)
		}
	}
}
