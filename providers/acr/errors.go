package acr

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// entraCodes are what to do about errors of Entra, by their numbers.
var entraCodes = map[string]string{
	"AADSTS7000215": "check clientSecret: it is the secret's value that is wanted, not its id",
	"AADSTS7000222": "the client secret has expired: make another one (az ad app credential reset)",
	"AADSTS700016":  "check clientID and tenantID: that tenant does not know the client",
	"AADSTS90002":   "check tenantID: there is no such tenant in this cloud",
	"AADSTS900023":  "check tenantID: that is none",
	"AADSTS700027":  "check clientCertificate: it is not registered with the client",
	"AADSTS70021":   hintFederated, "AADSTS700211": hintFederated, "AADSTS700212": hintFederated, "AADSTS700213": hintFederated,
	"AADSTS700024": "the federated token is not valid now: check this machine's clock, and that the token's file is renewed",
	"AADSTS50013":  "the token is not signed by its issuer's key of now: have it renewed, and check that the issuer publishes its keys",
	"AADSTS501661": "Entra has to reach the keys of the issuer: its /.well-known/openid-configuration, over https, in the internet",
	"AADSTS50027":  "what is shown is no JSON Web Token that Entra can read",
	"AADSTS53003":  "a conditional access policy forbids it: use another identity, or change the policy",
	"AADSTS50173":  "the sign-in was revoked: sign in again (az login)",
	"AADSTS700082": "the sign-in has expired: sign in again (az login)",
}

const (
	hintFederated = "the client has no federated credential for that token: check its issuer, subject and audience (api://AzureADTokenExchange)"
	hintIdentity  = "give the registry an identity: auth.azure in the policy, a workload identity or managed identity, or az login"
	hintRegion    = "the registry lacks what was sent to it; where it is geo-replicated, that has come to another region first: name a regional endpoint as the host (<registry>.<region>.geo.azurecr.io)"
	hintQuota     = "delete what is not needed, or use a tier with more storage"
)

// noMetadata says that the instance's metadata service does not answer. The SDK
// does not try again then.
type noMetadata struct{ error }

func (n *noMetadata) Unwrap() error { return n.error }

// NonRetriable is azcore's word for it.
func (*noMetadata) NonRetriable() {}

// fail is an error of ours.
func (r *Registry) fail(op, repo string, kind providers.Kind, err error, hint string) *providers.Error {
	return &providers.Error{Kind: kind, Op: op, Ref: r.where(repo), Hint: hint, Err: err}
}

// unusable is the error of a credential that cannot even be tried.
func (r *Registry) unusable(err error) error {
	if e, ok := errors.AsType[*providers.Error](err); ok {
		return e
	}
	return r.fail(opSignIn, "", providers.Denied, fmt.Errorf("as %s: %s", r.opts.Identity.describe(), clean(err.Error())), "check auth.azure of this registry")
}

var (
	aadsts      = regexp.MustCompile(`(AADSTS\d+): ([^\r\n"\\]*)`)
	aadstsTrace = regexp.MustCompile(`\s*(Trace ID|Correlation ID|Timestamp): .*`)
)

// explainEntra turns an error of azidentity into the providers' words, with Entra's
// own reason kept.
func (r *Registry) explainEntra(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if e, ok := errors.AsType[*providers.Error](err); ok {
		return e
	}
	if r.opts.Identity.Federated != nil {
		return r.explainFederated(err)
	}
	e := entraError(r.opts.Identity.describe(), err)
	e.Op, e.Ref = opSignIn, r.Host()
	if failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok && e.Kind.Retryable() {
		e.After = after(failed.RawResponse)
	}
	return e
}

// entraError is the error of somebody to whom Entra gives no token, without op and ref.
func entraError(as string, err error) *providers.Error {
	fail := func(kind providers.Kind, hint, format string, args ...any) *providers.Error {
		return &providers.Error{Kind: kind, Hint: hint, Err: fmt.Errorf("%s: %s", fmt.Sprintf(format, args...), reason(err.Error()))}
	}
	failed, _ := errors.AsType[*azidentity.AuthenticationFailedError](err)
	status := 0
	if failed != nil && failed.RawResponse != nil {
		status = failed.RawResponse.StatusCode
	}
	text := err.Error()
	if m := aadsts.FindStringSubmatch(text); m != nil {
		return &providers.Error{Kind: kindOfEntra(status), Code: m[1], Hint: cmp.Or(entraCodes[m[1]], "check auth of this registry"),
			Err: fmt.Errorf("as %s: %s: %s", as, m[1], clean(aadstsTrace.ReplaceAllString(m[2], "")))}
	}
	switch {
	case status != 0:
		return fail(kindOfEntra(status), hintIdentity, "as %s: Entra ID or the metadata service answered %d", as, status)
	case strings.Contains(text, "failed to acquire a token") || isNoMetadata(err, text):
		return fail(providers.Denied, hintIdentity, "no credentials were found, as %s", as)
	case unreachable(err):
		return fail(providers.Unavailable, "check that this machine may reach Microsoft Entra ID, login.microsoftonline.com", "as %s: Entra ID cannot be reached", as)
	}
	return fail(providers.Denied, hintIdentity, "as %s", as)
}

func isNoMetadata(err error, text string) bool {
	_, ok := errors.AsType[*noMetadata](err)
	return ok || strings.Contains(text, metadataHost)
}

func unreachable(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	text := err.Error()
	return ok || errors.Is(err, context.DeadlineExceeded) || strings.Contains(text, "dial tcp") || strings.Contains(text, "connection re")
}

// kindOfEntra is what a status of Entra means.
func kindOfEntra(status int) providers.Kind {
	switch {
	case status == http.StatusTooManyRequests:
		return providers.Throttled
	case status >= http.StatusInternalServerError:
		return providers.Unavailable
	}
	return providers.Denied
}

// explainExchange is the error of a token that the registry does not take.
func (r *Registry) explainExchange(ctx context.Context, who providers.Identity, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if e, ok := errors.AsType[*providers.Error](err); ok {
		return e
	}
	api, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return r.fail(opSignIn, "", providers.Unavailable, errors.New(reason(err.Error())), "check host, and that this machine may reach it")
	}
	code, message := envelope(api.RawResponse)
	e := r.fail(opSignIn, "", kindOfEntra(api.StatusCode), fmt.Errorf("as %s: the registry answered %d to our token: %s", who, api.StatusCode, message), "")
	e.Status, e.Code, e.After = api.StatusCode, code, after(api.RawResponse)
	switch {
	case api.StatusCode == http.StatusNotFound:
		e.Kind, e.Hint = providers.Unavailable, "check that host is a registry of ACR"
	case e.Kind == providers.Denied && strings.Contains(message, "tenant"):
		e.Hint = "sign in at the tenant that the registry belongs to: tenantID of auth.azure"
	case e.Kind == providers.Denied:
		e.Hint = "check that the registry is of the identity's tenant, and give the identity a role there, such as AcrPull"
	case e.Kind == providers.Throttled:
		e.Hint = "lower limits.requests of this registry if it goes on"
	}
	return e
}

// envelope reads the registries' error envelope, which azcore does not know.
func envelope(resp *http.Response) (code, message string) {
	if resp == nil || resp.Body == nil {
		return "", "nothing more"
	}
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what there is of it
	var doc struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(raw, &doc) != nil || len(doc.Errors) == 0 {
		return "", http.StatusText(resp.StatusCode)
	}
	return clean(doc.Errors[0].Code), clean(doc.Errors[0].Message)
}

// after is how long the answer asks to wait.
func after(resp *http.Response) time.Duration {
	if resp == nil {
		return 0
	}
	return oci.RetryAfter(resp.Header, time.Now())
}

// reason shortens what the SDK says, which goes on for pages.
func reason(text string) string {
	text, _, _ = strings.Cut(text, "To troubleshoot")
	return clean(text)
}

var (
	query = regexp.MustCompile(`(https?://[^\s"'?]*)\?[^\s"']*`)
	jwts  = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+`)
)

// clean makes a stranger's text fit for a log: one line, short, no URL queries and
// no tokens.
func clean(s string) string {
	s = query.ReplaceAllString(s, "$1?…")
	s = jwts.ReplaceAllString(s, "[redacted]")
	s = strings.Map(func(c rune) rune {
		if c == unicode.ReplacementChar || !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, s)
	s = strings.Join(strings.Fields(strings.ReplaceAll(s, "--------", "")), " ")
	if len(s) > 400 {
		s = strings.ToValidUTF8(s[:400], "") + "…"
	}
	return s
}
