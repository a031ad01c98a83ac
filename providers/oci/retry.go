package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/transship/transship/providers"
)

// A final error is worth no second try, whatever its kind.
type final struct{ error }

func (f *final) Unwrap() error { return f.error }

// tries is the retry budget of one request.
type tries struct {
	r    *Registry
	done int
}

func (r *Registry) tries() *tries { return &tries{r: r} }

// again waits and returns nil if err may be tried again, else the error to
// return: the cause if ctx has ended.
func (t *tries) again(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	e, ok := errors.AsType[*providers.Error](err)
	if _, stop := errors.AsType[*final](err); !ok || stop || !e.Kind.Retryable() {
		return err
	}
	t.done++
	if t.done >= t.r.opts.Retry.Tries {
		return t.spent(e)
	}
	if e.After > t.r.opts.Retry.MaxAfter {
		return err
	}
	return sleep(ctx, max(t.r.opts.Retry.Backoff(t.done-1), e.After))
}

func (t *tries) spent(e *providers.Error) error {
	if t.done < 2 {
		return e
	}
	last := *e
	last.Err = fmt.Errorf("%w (tried %d times)", e.Err, t.done)
	return &last
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// maxRetryAfter bounds what a host can ask for.
const maxRetryAfter = 24 * time.Hour

// RetryAfter reads a Retry-After header (RFC 9110 section 10.2.3), in seconds or
// as a date; 0 is none, a past date, or nonsense.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if value == "" {
		return 0
	}
	if s, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Duration(min(max(s, 0), int64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
