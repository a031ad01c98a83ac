package dockerhub

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/dockerhub/dockerhubtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

func TestReadRate(t *testing.T) {
	for text, want := range map[string]string{
		"100;w=21600":           "100 in 6h0m0s",
		" 76 ; w=3600":          "76 in 1h0m0s",
		"100":                   "100 in 0s",
		"100;w=0":               "100 in 0s",
		"100;w=1;burst=10":      "100 in 1s",
		"0;w=21600":             "0 in 6h0m0s",
		"":                      "none",
		"-1;w=1":                "none",
		"many":                  "none",
		"99999999999;w=1":       "none",
		"1;w=99999999999999999": "1 in 0s",
	} {
		got := "none"
		if n, window, ok := readRate(text); ok {
			got = fmt.Sprintf("%d in %v", n, window)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func FuzzReadRate(f *testing.F) {
	f.Add("100;w=21600")
	f.Fuzz(func(t *testing.T, text string) {
		if n, window, ok := readRate(text); ok && (n < 0 || window < 0 || window > 30*24*time.Hour) {
			t.Errorf("%q: %d in %v", text, n, window)
		}
	})
}

// told is what an answer says.
func told(limit, left int) http.Header {
	return http.Header{"Ratelimit-Limit": {fmt.Sprintf("%d;w=21600", limit)}, "Ratelimit-Remaining": {fmt.Sprintf("%d;w=21600", left)}}
}

// TestPulls holds how pulls are taken, as the host tells and as they are on their way.
func TestPulls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPulls(nil)
		if !p.due() {
			t.Error("nobody looks before the first pull")
		}
		p.answered(providers.OpHeadManifest, told(100, 13))
		if p.due() {
			t.Error("a second look")
		}
		for range 3 {
			if _, ok := p.take(); !ok {
				t.Fatal("three are ours")
			}
		}
		began := time.Now()
		if _, ok := p.take(); ok {
			t.Fatal("a fourth would be one of those that are kept")
		}
		if left := p.now(); left.Left != 0 || left.Reserve != 10 || left.Limit != 100 {
			t.Errorf("pulls are %+v", left)
		}
		// Answers overtake each other: the one that tells less was sent later.
		p.answered(providers.OpGetManifest, told(100, 11))
		p.answered(providers.OpGetManifest, told(100, 12))
		p.done()
		p.done()
		if left := p.now().Left; left != 0 {
			t.Errorf("%d are left, with one on its way and one told of", left)
		}
		p.answered(providers.OpGetManifest, told(100, 10))
		p.done()
		until, ok := p.take()
		if ok || until.Sub(began).Round(time.Second) != 6*time.Hour {
			t.Errorf("taken %v, until %v after the first pull", ok, until.Sub(began))
		}
		time.Sleep(lookAgain - time.Second)
		if p.due() {
			t.Error("a look before its time")
		}
		time.Sleep(2 * time.Second)
		if !p.due() {
			t.Error("no look after ten minutes of waiting")
		}
		p.answered(providers.OpHeadManifest, told(100, 100))
		if _, ok := p.take(); !ok || !p.now().Until.IsZero() {
			t.Errorf("nothing taken of %+v", p.now())
		}
	})
}

// TestPullsAreCountedOnce holds that one on its way which the host has counted already
// is not counted again, and that those of others are counted as soon as it is sure that
// they are none of ours.
func TestPullsAreCountedOnce(t *testing.T) {
	p := newPulls(nil)
	p.answered(providers.OpHeadManifest, told(100, 28))
	left := func(what string, want int) {
		t.Helper()
		if got := p.now().Left; got != want {
			t.Errorf("%s: %d are left, want %d", what, got, want)
		}
	}
	for range 4 {
		p.take()
	}
	left("four begun of 18", 14)
	p.answered(providers.OpGetManifest, told(100, 24))
	p.done()
	left("one answered, all counted", 14)
	p.answered(providers.OpGetManifest, told(100, 19))
	p.done()
	left("others pulled five", 9)
	p.done()
	left("one that failed was counted", 10)
	p.answered(providers.OpGetManifest, told(100, 21))
	p.done()
	left("nothing is on its way: the host's least word", 9)
	p.answered(providers.OpHeadManifest, told(100, 100))
	left("another window", 90)
}

// TestPullsUnknown holds that where the host tells nothing, nothing is bounded until
// it refuses; and that the wait it asks for is kept to.
func TestPullsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPulls(nil)
		p.answered(providers.OpHeadManifest, http.Header{})
		for range 1000 {
			if _, ok := p.take(); !ok {
				t.Fatal("bounded by nothing")
			}
			p.answered(providers.OpGetManifest, http.Header{})
			p.done()
		}
		if p.now() != nil {
			t.Errorf("caps %+v of nothing told", p.now())
		}
		now := time.Now()
		if until := p.spent(time.Hour); until.Sub(now) != time.Hour {
			t.Errorf("until %v from now, want the hour that was asked", until.Sub(now))
		}
		if until, ok := p.take(); ok || until.Sub(now) != time.Hour {
			t.Errorf("taken %v, until %v", ok, until.Sub(now))
		}
		time.Sleep(time.Hour + time.Second)
		if !p.due() {
			t.Error("no look when the wait is over")
		}
		p.looked()
		if _, ok := p.take(); !ok {
			t.Error("not taken when the wait is over")
		}
	})
}

func TestReserve(t *testing.T) {
	share := func(f float64) *float64 { return &f }
	for _, tt := range []struct {
		share *float64
		want  int
	}{{nil, 10}, {share(0), 0}, {share(0.255), 26}, {share(1), 100}, {share(7), 100}, {share(-1), 0}} {
		p := newPulls(tt.share)
		p.answered(providers.OpHeadManifest, told(100, 100))
		if got := p.now().Reserve; got != tt.want {
			t.Errorf("%v keeps %d of 100, want %d", tt.share, got, tt.want)
		}
	}
}

// testSpent holds that no more is pulled than is ours, however many ask at once; that
// the rest is Waiting, with a time, and the host is not asked for it; and that it goes
// on when there is more again.
func testSpent(t *testing.T) {
	s := serve(t, func(o *dockerhubtest.Options) {
		o.Quirks = func(q *dockerhubtest.Quirks) { q.Pulls = 20 }
	})
	var images []*content.Manifest
	for i := range 40 {
		images = append(images, anImage(fmt.Sprint(i)))
		trial.Load(t, s, "acme/many", images[i], fmt.Sprintf("v%d", i))
	}
	s.Spend("sync", 5)
	r := asSync(t, s)
	var mu sync.Mutex
	var wg sync.WaitGroup
	got, waiting := 0, 0
	for _, m := range images {
		wg.Go(func() {
			_, err := r.Manifest(t.Context(), "acme/many", m.Digest.String())
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				got++
			case providers.KindOf(err) == providers.Waiting && time.Until(providers.UntilOf(err)) > 5*time.Hour:
				waiting++
			default:
				t.Errorf("%v until %v", err, providers.UntilOf(err))
			}
		})
	}
	wg.Wait()
	if got+waiting != 40 || got > 13 {
		t.Errorf("%d got and %d wait", got, waiting)
	}
	// What is on its way is counted as got already: a slow answer has others wait that
	// need not. They have their turn now.
	for ; got < 13 && !t.Failed(); got++ {
		if _, err := r.Manifest(t.Context(), "acme/many", images[got].Digest.String()); err != nil {
			t.Error(err)
		}
	}
	n := s.Counts()
	if n.Of(registrytest.ManifestGet) != 13 || n.Of(registrytest.ManifestHead) != 1 || s.Pulled("sync") != 18 {
		t.Errorf("%d got, %d wait; the account has pulled %d of 20; %v", got, waiting, s.Pulled("sync"), n.Requests)
	}
	_, err := r.Manifest(t.Context(), "acme/many", "v1")
	if err == nil {
		t.Fatal("a pull beyond the account's own")
	}
	trial.WantKind(t, err, providers.Waiting, "goes on where it stopped")
	if text := err.Error(); !strings.Contains(text, "2 of 20 pulls in 6h0m0s are left, and 2 are kept for others; more from 20") {
		t.Errorf("the error says %q", text)
	}
	caps, err := r.Caps(t.Context())
	if err != nil || caps.Pulls == nil || caps.Pulls.Left != 0 || caps.Pulls.Until.IsZero() || caps.Pulls.Windows(40) != 3 {
		t.Errorf("caps %+v, %v", caps.Pulls, err)
	}
	if _, err := r.Head(t.Context(), "acme/many", "v1"); err != nil {
		t.Errorf("a HEAD while pulls wait: %v", err)
	}
	s.PassTime(6 * time.Hour)
	r.pulls.lookedAt = time.Now().Add(-lookAgain)
	if _, err := r.Manifest(t.Context(), "acme/many", "v1"); err != nil {
		t.Errorf("when there is more again: %v", err)
	}
}

func TestSpent(t *testing.T) { testSpent(t) }

// TestRefusedPull holds that an account which is out of pulls although it was told
// otherwise is Waiting after one request, as long as the host says.
func TestRefusedPull(t *testing.T) {
	s := serve(t)
	s.Configure(func(q *dockerhubtest.Quirks) { q.Pulls = 0 })
	r := asSync(t, s)
	if _, err := r.Manifest(t.Context(), "acme/app", "v1"); err != nil {
		t.Fatal(err)
	}
	before := s.Counts()
	s.Next(1, registrytest.ManifestGet, registrytest.Fault{Status: 429, RetryAfter: "1800", Code: "TOOMANYREQUESTS",
		Message: "You have reached your unauthenticated pull rate limit."})
	for range 3 {
		_, err := r.Manifest(t.Context(), "acme/app", "v1")
		trial.WantKind(t, err, providers.Waiting, "")
		if left := time.Until(providers.UntilOf(err)); left < 25*time.Minute || left > 31*time.Minute {
			t.Errorf("%v to wait, want the half hour of the host", left)
		}
	}
	if n := s.Counts().Sub(before).Of(registrytest.ManifestGet); n != 1 {
		t.Errorf("%d GETs, want one", n)
	}
}

// TestOthersSpend holds that when others of the account use up what we were told is
// left, the registry's own refusal is Waiting, and is asked for once.
func TestOthersSpend(t *testing.T) {
	s := serve(t, func(o *dockerhubtest.Options) {
		o.Quirks = func(q *dockerhubtest.Quirks) { q.Pulls, q.RetryAfter = 20, "60" }
	})
	r := asSync(t, s)
	if _, err := r.Manifest(t.Context(), "acme/app", "v1"); err != nil {
		t.Fatal(err)
	}
	s.Spend("sync", 50)
	for range 3 {
		_, err := r.Manifest(t.Context(), "acme/app", "v1")
		trial.WantKind(t, err, providers.Waiting, "goes on where it stopped")
		if left := time.Until(providers.UntilOf(err)); left > 2*time.Minute && left < 5*time.Hour {
			t.Errorf("%v to wait", left)
		}
	}
	if n := s.Counts().Of(registrytest.ManifestGet); n != 2 {
		t.Errorf("%d GETs, want one that is answered and one that is refused", n)
	}
}
