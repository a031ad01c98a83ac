package providers

import (
	"context"
	"fmt"
	"log/slog"
)

// An Issuer is who we are in one cloud or cluster, as far as it tells others. Each
// cloud's folder has one; whoever signs in at another cloud takes it. Methods are
// safe for concurrent use, follow ctx, and give up within seconds where nobody is
// there to be asked. Their errors are [Error]s that name what was asked of whom:
// Denied where a person has to act, Unavailable where it may do better later.
type Issuer interface {
	// Whoami is who we are there. It asks, each time.
	Whoami(ctx context.Context) (Identity, error)
	// Assertion is a signed statement of who we are, for audience alone. It is for
	// being shown at once: it may end within minutes, so nobody keeps it. A token in
	// a file is what it is, whatever the audience.
	Assertion(ctx context.Context, audience string) (Assertion, error)
}

// An AWSIssuer lends the keys of an AWS identity to those who take a request that
// is signed with them in place of an assertion. It keeps the promises of [Issuer].
type AWSIssuer interface {
	Whoami(ctx context.Context) (Identity, error)
	// AWSKeys live for five more minutes at least, unless their session is shorter.
	AWSKeys(ctx context.Context) (AWSKeys, error)
}

// AWSKeys are the credentials of one AWS identity.
type AWSKeys struct {
	AccessKeyID     string
	SecretAccessKey Hidden
	SessionToken    Hidden // "" of a user
	Region          string // in which the Security Token Service is asked about them
}

// Hidden is a secret that prints as [redacted], also within a struct; only a
// conversion to string shows it.
type Hidden string

const redacted = "[redacted]"

// String returns [redacted].
func (Hidden) String() string { return redacted }

// GoString returns [redacted].
func (Hidden) GoString() string { return redacted }

// Format writes [redacted] for every verb.
func (Hidden) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue returns [redacted].
func (Hidden) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns [redacted]; JSON goes through it.
func (Hidden) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// The links of the way from an identity of one cloud to a credential of another, in
// their order.
const (
	LinkIdentity      = "identity"      // who we are where we come from
	LinkAssertion     = "assertion"     // what is shown of that to the other cloud
	LinkExchange      = "exchange"      // the other cloud takes it
	LinkImpersonation = "impersonation" // and has us act as one of its own
)

// A Link is a link as it was found when it was tried.
type Link struct {
	Name   string
	Detail string // what it gave, for people; no secret
	Err    error  // why it is broken; nil if it holds
}

// A Way is how a registry is signed in to from another cloud, tried link by link.
type Way struct {
	Links []Link // up to the first that is broken
	// Trust is what has to be made for it on the other side, with what is really
	// shown there: JSON and commands. "" if that is not known.
	Trust string
}

// Try adds the next link to w, unless an earlier one is broken. do returns what it
// gave, for people.
func (w *Way) Try(name string, do func() (string, error)) {
	if n := len(w.Links); n > 0 && w.Links[n-1].Err != nil {
		return
	}
	detail, err := do()
	if err != nil {
		detail = ""
	}
	w.Links = append(w.Links, Link{name, detail, err})
}

// Broken is err as the error of a link, for the operation op about ref. Kind, code
// and hint stay as they are; whom the link asked stays in the text.
func Broken(link, op, ref string, err error) *Error {
	e := &Error{Kind: Unavailable}
	if inner, ok := err.(*Error); ok { //nolint:errorlint // a wrapped one has been told of already
		*e = *inner
		if err = inner.Err; inner.Ref != ref {
			err = fmt.Errorf("%s %s: %w", inner.Op, inner.Ref, inner.Err)
		}
	}
	e.Op, e.Ref, e.Err = op, ref, fmt.Errorf("link %s: %w", link, err)
	return e
}
