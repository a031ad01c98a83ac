package transfer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// What an image has come to is told for as long as a slow state takes while the run
// goes on, and for a while after it was stopped.
func TestLasting(t *testing.T) {
	for _, tt := range []struct {
		name       string
		stop, want time.Duration
	}{
		{"the run goes on", time.Hour, tellFor},
		{"the run was stopped before", 0, tellLast},
		{"the run is stopped meanwhile", time.Minute, time.Minute + tellLast},
		{"the run is stopped when it is late", tellFor - time.Second, tellFor},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				run, stop := context.WithCancel(t.Context())
				began := time.Now()
				time.AfterFunc(tt.stop, stop)
				synctest.Wait()
				ctx, cancel := lasting(run)
				<-ctx.Done()
				if took := time.Since(began); took != tt.want {
					t.Errorf("it lasted %v, want %v", took, tt.want)
				}
				cancel()
				stop()
			})
		})
	}
}
