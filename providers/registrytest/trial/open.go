// Package trial is what the tests of providers do alike: open one at its emulator,
// read its lists, bring it images. It is never part of the shipped binary.
package trial

import (
	"io"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// Options are those of a target at an emulator of plain HTTP, whose retries are quick.
func Options(host string) oci.Options {
	return oci.Options{Host: host, PlainHTTP: true, Push: true, Retry: oci.Retry{Tries: 4, Min: time.Millisecond, Max: 5 * time.Millisecond}}
}

// Unlimited lifts quotas: most tests are not about the rates.
func Unlimited(quotas []providers.RateQuota) map[string]providers.Rate {
	rates := map[string]providers.Rate{}
	for _, q := range quotas {
		rates[q.Name] = providers.Rate{N: 1e6, Per: time.Second}
	}
	return rates
}

// Open opens a provider with o after these changes. It is closed with the test.
func Open[O any, R io.Closer](t testing.TB, open func(O) (R, error), o O, change ...func(*O)) R {
	t.Helper()
	for _, c := range change {
		c(&o)
	}
	r, err := open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}
