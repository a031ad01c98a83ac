package providers

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func jwtOf(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

// TestReadAssertion reads what issuers write, and prints it without the token.
func TestReadAssertion(t *testing.T) {
	for _, tt := range []struct{ claims, want string }{
		{`{"iss":"https://i","sub":"s","aud":"a","nbf":1000,"exp":2000}`, "issuer https://i, subject s, audience a, good from 1970-01-01T00:16:40Z until 1970-01-01T00:33:20Z"},
		{`{"iss":"https://i","sub":"s","aud":["a","b"],"exp":2000.5}`, "issuer https://i, subject s, audience a and b until 1970-01-01T00:33:20Z"},
		{`{}`, "issuer none, subject none, audience none"},
		{`{"sub":"a\nb\u0000c"}`, "issuer none, subject a b c, audience none"},
		{`{"exp":1e300,"nbf":-5}`, "issuer none, subject none, audience none"},
	} {
		a, err := ReadAssertion(jwtOf(tt.claims))
		if err != nil || a.String() != tt.want {
			t.Errorf("%s\n got %v (%v)\nwant %s", tt.claims, a, err, tt.want)
		}
		if text := fmt.Sprintf("%v %+v %#v %s", a, a, a, a); strings.Contains(text, "c2ln") {
			t.Errorf("the token is in %s", text)
		}
	}
	for _, bad := range []string{"", "a", "a.b", "a.b.c.d", "a.!!.c", jwtOf("[]"), jwtOf(`{"aud":5}`), jwtOf(`{"exp":"soon"}`)} {
		if _, err := ReadAssertion(bad); err == nil || bad != "" && bad != "a" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestCheck: what is over, or not good yet, is told with what it says; clocks may
// differ by five minutes.
func TestCheck(t *testing.T) {
	now := time.Unix(1e9, 0)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	for _, tt := range []struct {
		from, to time.Time
		want     string
	}{
		{at(-time.Hour), at(time.Hour), ""}, {time.Time{}, time.Time{}, ""}, {at(-time.Hour), at(-4 * time.Minute), ""}, {at(4 * time.Minute), at(time.Hour), ""},
		{at(-time.Hour), at(-6 * time.Minute), "it has been over for 6m0s; presented: issuer i"}, {at(6 * time.Minute), at(time.Hour), "it is not good for another 6m0s; presented: issuer i"},
	} {
		err := Assertion{Issuer: "i", Subject: "s", NotBefore: tt.from, Expires: tt.to}.Check(now)
		if tt.want == "" && err != nil || tt.want != "" && (KindOf(err) != Denied || HintOf(err) == "" || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("from %v to %v: %v, want %q", tt.from.Sub(now), tt.to.Sub(now), err, tt.want)
		}
	}
}

// TestHidden: a secret prints nowhere.
func TestHidden(t *testing.T) {
	keys := AWSKeys{AccessKeyID: "AKIA", SecretAccessKey: "hunter2", SessionToken: "hunter2"}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "keys", keys, "secret", keys.SecretAccessKey)
	raw, err := json.Marshal(keys)
	text := fmt.Sprintf("%v %+v %#v %s %q %x", keys, keys, keys, keys.SecretAccessKey, keys.SecretAccessKey, keys.SecretAccessKey) + b.String() + string(raw)
	if err != nil || strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) || string(keys.SecretAccessKey) != "hunter2" {
		t.Errorf("%v: %s", err, text)
	}
}

// TestWay: nothing is tried behind a broken link.
func TestWay(t *testing.T) {
	w := &Way{}
	w.Try(LinkIdentity, func() (string, error) { return "me", nil })
	inner := &Error{Kind: Denied, Op: "ask", Ref: "AWS", Hint: "grant it", Err: fmt.Errorf("no")}
	w.Try(LinkAssertion, func() (string, error) { return "x", Broken(LinkAssertion, "sign in", "host", inner) })
	w.Try(LinkExchange, func() (string, error) { t.Error("it was tried"); return "", nil })
	if len(w.Links) != 2 || w.Links[0].Detail != "me" || w.Links[1].Detail != "" {
		t.Errorf("%+v", w.Links)
	}
	err := w.Links[1].Err
	if err.Error() != "sign in host: denied: link assertion: ask AWS: no" || HintOf(err) != "grant it" {
		t.Errorf("%v; %s", err, HintOf(err))
	}
	if err := Broken(LinkExchange, "sign in", "host", fmt.Errorf("odd")); err.Kind != Unavailable || err.Error() != "sign in host: unavailable: link exchange: odd" {
		t.Error(err)
	}
}

// FuzzReadAssertion: whatever a token says is printed on one line, and short.
func FuzzReadAssertion(f *testing.F) {
	f.Add(`{"iss":"https://i","sub":"s","aud":["a"],"nbf":1,"exp":2}`)
	f.Fuzz(func(t *testing.T, claims string) {
		a, err := ReadAssertion(jwtOf(claims))
		if err != nil {
			return
		}
		if text := a.Issuer + a.Subject; strings.ContainsAny(text, "\n\r\x1b") || len(text) > 2*(maxClaim+3) || !utf8.ValidString(text) {
			t.Errorf("%q", text)
		}
		_ = a.Check(time.Now())
	})
}
