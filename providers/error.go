package providers

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Kind says what to do about a failure. Programs act on it and never on text.
type Kind int

const (
	// Unknown is a failure nobody classified: retry a little.
	Unknown Kind = iota
	// Throttled: slow down at this host; Error.After may say for how long.
	Throttled
	// Unavailable: the host or the way to it is broken: back off and retry.
	Unavailable
	// Denied: no permission, or a wrong or expired credential: stop, a person acts.
	Denied
	// Quota: a limit that waiting does not lift: stop, a person acts.
	Quota
	// Conflict: immutable, locked, or changed under us: success if the digest is equal.
	Conflict
	// NotFound: the repository, tag, manifest, blob or upload is not there.
	NotFound
	// Incomplete: a manifest was refused because something it names is missing
	// from its repository: place that again, then put it once more.
	Incomplete
	// Invalid: the content or the request is wrong: never retry.
	Invalid
	// Unsupported: the host cannot do this: plan around it.
	Unsupported
	// Waiting: what the host allows in a time is used up. Nothing has failed: what
	// needs it waits until Error.Until, and until then the host is not asked for it.
	Waiting
)

var kindNames = [...]string{
	"unknown", "throttled", "unavailable", "denied", "quota", "conflict",
	"not found", "incomplete", "invalid", "unsupported", "waiting",
}

func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind %d", int(k))
	}
	return kindNames[k]
}

// MarshalText prints the kind as its name, in JSON and in logs.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText prints; other text is Unknown.
func (k *Kind) UnmarshalText(text []byte) error {
	*k = Unknown
	for i, name := range kindNames {
		if name == string(text) {
			*k = Kind(i)
		}
	}
	return nil
}

// Retryable reports whether the same request may succeed later without a person.
func (k Kind) Retryable() bool {
	return k == Unknown || k == Throttled || k == Unavailable
}

// An Error is one failed question to a host or write to it. It holds no URL
// query and no credential.
type Error struct {
	Kind   Kind
	Op     string        // what was tried, in the field's words: "list tags", "put manifest"
	Ref    string        // host/repository:tag or host/repository@digest, as much as is known
	Status int           // HTTP status, 0 where there was none
	Code   string        // the registry's own code, such as MANIFEST_BLOB_UNKNOWN
	After  time.Duration // the host asked to wait this long, 0 if it did not say
	Until  time.Time     // of Waiting: from here on there may be more
	Hint   string        // what a person can do next, one clause, may be empty
	Err    error         // the cause; never nil in an Error that is returned
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: ", e.Op, e.Ref)
	if e.Kind != Unknown {
		fmt.Fprintf(&b, "%s: ", e.Kind)
	}
	fmt.Fprintf(&b, "%v", e.Err)
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the Kind of the first [Error] in err's tree, Unknown if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Unknown
}

// UntilOf returns the first time in err's tree to wait for, or zero.
func UntilOf(err error) time.Time {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Until
	}
	return time.Time{}
}

// HintOf returns the first hint in err's tree: what to do next, or "".
func HintOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Hint
	}
	return ""
}
