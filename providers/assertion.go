package providers

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// An Assertion is a JSON Web Token (RFC 7519) and what it says of itself. Nothing
// of that is verified: it is for words, and for what would be refused anyway.
type Assertion struct {
	Token    Hidden
	Issuer   string
	Subject  string
	Audience []string
	// NotBefore and Expires bound its life; zero where it does not say.
	NotBefore, Expires time.Time
}

// maxClaim bounds in bytes what is kept of one claim.
const maxClaim = 400

// ReadAssertion reads a token. Its error holds nothing of it.
func ReadAssertion(token string) (Assertion, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Assertion{}, fmt.Errorf("it is no JSON Web Token: it has %d parts of 3", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return Assertion{}, fmt.Errorf("it is no JSON Web Token: its claims are not base64url")
	}
	var c struct {
		Issuer    string   `json:"iss"`
		Subject   string   `json:"sub"`
		Audience  audience `json:"aud"`
		NotBefore float64  `json:"nbf"`
		Expires   float64  `json:"exp"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return Assertion{}, fmt.Errorf("it is no JSON Web Token: its claims are no JSON of claims")
	}
	a := Assertion{Token: Hidden(token), Issuer: plain(c.Issuer), Subject: plain(c.Subject), NotBefore: instant(c.NotBefore), Expires: instant(c.Expires)}
	for _, one := range c.Audience {
		a.Audience = append(a.Audience, plain(one))
	}
	return a, nil
}

// audience is one text or a list of them (RFC 7519 section 4.1.3).
type audience []string

// UnmarshalJSON reads both.
func (a *audience) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(a))
}

// instant is a NumericDate.
func instant(seconds float64) time.Time {
	if seconds <= 0 || seconds > 1e12 {
		return time.Time{}
	}
	return time.UnixMilli(int64(seconds * 1000))
}

// plain is a stranger's text on one line, and short.
func plain(s string) string {
	s = strings.Map(func(c rune) rune {
		if c == unicode.ReplacementChar || !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, s)
	if len(s) > maxClaim {
		s = strings.ToValidUTF8(s[:maxClaim], "") + "…"
	}
	return s
}

// String is what an assertion says, for people.
func (a Assertion) String() string {
	text := fmt.Sprintf("issuer %s, subject %s, audience %s", orNone(a.Issuer), orNone(a.Subject), orNone(strings.Join(a.Audience, " and ")))
	if !a.NotBefore.IsZero() && !a.Expires.IsZero() {
		text += ", good from " + a.NotBefore.UTC().Format(time.RFC3339)
	}
	if !a.Expires.IsZero() {
		text += " until " + a.Expires.UTC().Format(time.RFC3339)
	}
	return text
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Skew is how far the clock of who issued an assertion may be from ours before it
// counts as over, or not good yet, without being shown.
const Skew = 5 * time.Minute

// Check finds a life that is over or has not begun, by more than [Skew]: every taker
// would refuse that, so it need not be shown. The error is Denied and has a hint.
func (a Assertion) Check(now time.Time) error {
	switch {
	case !a.Expires.IsZero() && now.After(a.Expires.Add(Skew)):
		return a.Wrong("have it renewed: the kubelet does that with a projected token, not with a copy of one",
			"it has been over for %v", now.Sub(a.Expires).Round(time.Second))
	case !a.NotBefore.IsZero() && now.Before(a.NotBefore.Add(-Skew)):
		return a.Wrong("check this machine's clock, and that of who issued it", "it is not good for another %v", a.NotBefore.Sub(now).Round(time.Second))
	}
	return nil
}

// For finds that an assertion is for somebody else than audience, as Check does.
func (a Assertion) For(audience string) error {
	if slices.Contains(a.Audience, audience) {
		return nil
	}
	return a.Wrong("have the token issued for that audience (of a pod: audience of its projected volume), or name another one in auth.federated.audience",
		"it is for another audience; expected %s", audience)
}

// Wrong is the error of an assertion that cannot be shown, with what it says.
func (a Assertion) Wrong(hint, format string, args ...any) error {
	return &Error{Kind: Denied, Op: "use the token of", Ref: orNone(a.Subject), Hint: hint,
		Err: fmt.Errorf("%s; presented: %s", fmt.Sprintf(format, args...), a)}
}
