package jobs

import (
	"fmt"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator"
)

const (
	firstRetry = 30 * time.Second
	lastRetry  = 30 * time.Minute
)

// retryIn is how long a job waits that has failed attempt times before. The
// schedule may ask for it sooner.
func retryIn(attempt int) time.Duration {
	wait := firstRetry
	for range attempt {
		if wait *= 2; wait >= lastRetry {
			return lastRetry
		}
	}
	return wait
}

// mayPass is the failure of a report that may be gone when it is tried again; nil
// if a person has to act first, or the source has to change.
func mayPass(r replicator.Report) error {
	n, first := 0, replicator.Failure{}
	for _, f := range r.Failures {
		switch f.Kind {
		case providers.Throttled, providers.Unavailable, providers.Unknown, providers.Incomplete, providers.NotFound:
			if n == 0 {
				first = f
			}
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d failed images may come with another try; %s:%s: %s", n, len(r.Failures), first.Target, first.Tag, first.Reason)
}
