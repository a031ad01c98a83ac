package oci

import (
	"context"
	"sync"
	"time"

	"github.com/transship/transship/providers"
)

// Ensured knows which repositories are there, for hosts where they have to be made
// before a push. The zero value is ready; it is safe for concurrent use.
type Ensured struct {
	flights flights[struct{}]

	mu     sync.Mutex
	known  map[string]bool
	forgot map[string]time.Time
}

// forgetEvery is how often it is doubted that a repository is there: a host that
// denies it, and shows it, is not asked for every push.
const forgetEvery = time.Minute

// Do has ensure look for name, and make it, unless it is known to be there: once
// however many ask meanwhile, who get the same error. ensure's context ends when
// nobody waits any more.
func (e *Ensured) Do(ctx context.Context, name string, ensure func(context.Context) error) error {
	if e.has(name) {
		return context.Cause(ctx)
	}
	_, err := e.flights.do(ctx, name, func(ctx context.Context) (struct{}, error) {
		if e.has(name) {
			return struct{}{}, nil // somebody else's look ended just now
		}
		err := ensure(ctx)
		if err == nil {
			e.Note(name)
		}
		return struct{}{}, err
	})
	return err
}

func (e *Ensured) has(name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.known[name]
}

// Note says that name is there, as it should be.
func (e *Ensured) Note(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known == nil {
		e.known, e.forgot = map[string]bool{}, map[string]time.Time{}
	}
	e.known[name] = true
}

// Forget says that the host denies that name is there: it may have been deleted. It
// reports whether it was there before.
func (e *Ensured) Forget(name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	last, before := e.forgot[name]
	if !e.known[name] || before && now.Sub(last) < forgetEvery {
		return before // made anew since, or denied whatever we do
	}
	delete(e.known, name)
	e.forgot[name] = now
	return true
}

// Push calls push, and once more after ensure if its error says that there is no
// such repository although there was: it has been deleted since. A host that tells
// missing from denied when it is asked again may say denied of what another push
// has had made anew meanwhile.
func (e *Ensured) Push(name string, push func() error, gone func(error) bool, ensure func() error) error {
	began := time.Now()
	err := push()
	switch {
	case err == nil:
		return nil
	case gone(err) && e.Forget(name):
	case providers.KindOf(err) == providers.Denied && e.forgottenSince(name, began):
	default:
		return err
	}
	if err := ensure(); err != nil {
		return err
	}
	return push()
}

// forgottenSince reports whether name was found not to be there since then.
func (e *Ensured) forgottenSince(name string, began time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	last, ok := e.forgot[name]
	return ok && !last.Before(began)
}

// Wait returns once no ensure runs that nobody waits for.
func (e *Ensured) Wait() { e.flights.wait() }
