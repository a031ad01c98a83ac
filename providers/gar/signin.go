package gar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/credentials/impersonate"
	"cloud.google.com/go/compute/metadata"

	"github.com/transship/transship/providers"
)

const (
	opSignIn     = "sign in"
	scope        = "https://www.googleapis.com/auth/cloud-platform"
	metadataTime = 3 * time.Second // for all that is asked of the instance's metadata
)

// A base is who signs in before anybody is impersonated.
type base struct {
	token *auth.Token
	who   providers.Identity
}

// A source is how an identity gets tokens of Google. It is for one registry, or for
// none.
type source struct {
	id            Identity
	endpoints     Endpoints
	web, metadata http.RoundTripper
	// send has a request go through one of these, within limits and told to observers.
	send func(req *http.Request, through http.RoundTripper) (*http.Response, error)
	ref  string // for errors
}

func (s *source) fail(kind providers.Kind, err error, hint string) *providers.Error {
	return &providers.Error{Kind: kind, Op: opSignIn, Ref: s.ref, Hint: hint, Err: err}
}

// fetch gets an access token of our identity: a new one each time.
func (s *source) fetch(ctx context.Context) (*token, error) {
	b, err := s.identity(ctx)
	if err != nil {
		return nil, err
	}
	if b.token.Expiry.IsZero() {
		b.token.Expiry = time.Now().Add(10 * time.Minute)
	}
	return &token{value: b.token.Value, expires: b.token.Expiry, who: b.who}, nil
}

// identity signs in, and as the last of those who are impersonated.
func (s *source) identity(ctx context.Context) (base, error) {
	if s.id.Federated != nil {
		return s.federated(ctx)
	}
	b, err := s.base(ctx)
	if err != nil || len(s.id.Impersonate) == 0 {
		return b, err
	}
	return s.impersonated(ctx, b)
}

// base looks where Google's libraries look: the file that is named, in the policy
// or by GOOGLE_APPLICATION_CREDENTIALS, that of gcloud, the instance's metadata. The
// library's own search would keep it for good that there is no metadata service.
func (s *source) base(ctx context.Context) (base, error) {
	path, from := s.id.file()
	if path == "" {
		return s.ofMetadata(ctx)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return base{}, s.fail(providers.Denied, fmt.Errorf("%s: %w", from, err), "check the path, and who may read the file")
	}
	return s.ofFile(ctx, raw, from)
}

// file is the one to sign in with and where it was named, "" if there is none.
func (i Identity) file() (path, from string) {
	if i.CredentialsFile != "" {
		return i.CredentialsFile, "auth.gcp.credentialsFile"
	}
	if path = os.Getenv("GOOGLE_APPLICATION_CREDENTIALS"); path != "" {
		return path, "the file of GOOGLE_APPLICATION_CREDENTIALS"
	}
	if _, err := os.Stat(gcloudFile()); err == nil || !errors.Is(err, os.ErrNotExist) {
		return gcloudFile(), "gcloud's application default credentials"
	}
	return "", ""
}

// gcloudFile is where "gcloud auth application-default login" writes.
func gcloudFile() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("APPDATA"), "gcloud", "application_default_credentials.json")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".config", "gcloud", "application_default_credentials.json")
}

// A file is what we read of a credentials file ourselves.
type file struct {
	Type           credentials.CredType
	ClientEmail    string `json:"client_email"`
	Audience       string
	ImpersonateURL string `json:"service_account_impersonation_url"`
}

// name is whom a file is for.
func (f file) name() string {
	account, _, ok := strings.Cut(f.ImpersonateURL[strings.LastIndex(f.ImpersonateURL, "/")+1:], ":")
	switch {
	case f.ClientEmail != "":
		return f.ClientEmail
	case ok && account != "":
		return account
	case f.Audience != "":
		return "the workload of " + f.Audience
	}
	return "gcloud's user"
}

func (s *source) ofFile(ctx context.Context, raw []byte, from string) (base, error) {
	var f file
	err := json.Unmarshal(raw, &f)
	if err != nil {
		return base{}, s.fail(providers.Denied, fmt.Errorf("%s is no JSON of credentials", from), "write a key of a service account, or a file of workload identity federation")
	}
	who := providers.Identity{Name: f.name(), From: from}
	asked := &answer{}
	creds, err := credentials.NewCredentialsFromJSON(f.Type, raw, &credentials.DetectOptions{
		Scopes: []string{scope}, TokenURL: s.endpoints.Token, Client: s.asking(ctx, asked, nil), Logger: silent})
	if err != nil {
		return base{}, s.fail(providers.Denied, fmt.Errorf("as %s: %s", who, firstLine(err.Error())), "write a key of a service account, or a file of workload identity federation")
	}
	t, err := creds.Token(ctx)
	if err != nil {
		return base{}, s.notGiven(who, asked, err)
	}
	return base{t, who}, nil
}

// ofMetadata asks the instance, on which there may be nobody to ask.
func (s *source) ofMetadata(ctx context.Context) (base, error) {
	within, cancel := context.WithTimeout(ctx, metadataTime)
	defer cancel()
	who := providers.Identity{Name: "the instance's service account", From: "the instance's metadata"}
	asked := &answer{}
	c := metadata.NewWithOptions(&metadata.Options{Client: s.asking(within, asked, s.metadata), Logger: silent})
	raw, err := c.GetWithContext(within, "instance/service-accounts/default/token?"+url.Values{"scopes": {scope}}.Encode())
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return base{}, cause
	}
	if err != nil {
		return base{}, s.noMetadata(who, asked, err)
	}
	var t struct {
		Value   string `json:"access_token"`
		Seconds int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(raw), &t); err != nil || t.Value == "" {
		return base{}, s.fail(providers.Unavailable, errors.New("the instance's metadata gives no token that can be read"), "")
	}
	if email, err := c.EmailWithContext(within, "default"); err == nil && email != "" {
		who.Name = email
	}
	return base{&auth.Token{Value: t.Value, Expiry: time.Now().Add(time.Duration(t.Seconds) * time.Second)}, who}, nil
}

// noMetadata is the error of an instance that has no account, of a pod whose account
// may not be used, and of a machine that is no instance.
func (s *source) noMetadata(who providers.Identity, asked *answer, err error) error {
	refusal, refused := errors.AsType[*metadata.Error](err)
	switch {
	case asked.status >= 500 || asked.status == http.StatusTooManyRequests:
		return s.away(asked, fmt.Errorf("as %s: %s", who, firstLine(err.Error())), "look at the instance's metadata service, or the cluster's")
	case refused:
		e := s.fail(providers.Denied, fmt.Errorf("as %s: %s", who, firstLine(refusal.Message)),
			"bind the pod's service account to one of Google's: roles/iam.workloadIdentityUser, and the annotation iam.gke.io/gcp-service-account")
		e.Status = refusal.Code
		return e
	}
	return s.fail(providers.Denied, errNobody, "give the registry an identity: auth.gcp in the policy, a workload's service account, or GOOGLE_APPLICATION_CREDENTIALS")
}

// away is the error of a service that gives nothing now.
func (s *source) away(asked *answer, err error, hint string) error {
	e := s.fail(providers.Unavailable, err, hint)
	e.After = asked.after
	return e
}

// impersonated has the last of the chain impersonated through the others, in one
// exchange.
func (s *source) impersonated(ctx context.Context, by base) (base, error) {
	chain := s.id.Impersonate
	target := chain[len(chain)-1]
	who := providers.Identity{Name: target, From: "impersonated by " + by.who.Name}
	asked := &answer{}
	creds, err := impersonate.NewCredentials(&impersonate.CredentialsOptions{TargetPrincipal: target, Scopes: []string{scope},
		Delegates: chain[:len(chain)-1], Client: s.asking(ctx, asked, &bearer{s, by.token.Value}), Logger: silent})
	if err != nil {
		return base{}, s.fail(providers.Denied, fmt.Errorf("as %s: %s", who, firstLine(err.Error())), "check auth.gcp.impersonate")
	}
	t, err := creds.Token(ctx)
	if err != nil {
		return base{}, s.notGiven(who, asked, err)
	}
	return base{t, who}, nil
}

// notGiven is the error of a token that somebody was not given.
func (s *source) notGiven(who providers.Identity, asked *answer, err error) error {
	if asked.status == 0 && asked.err != nil || asked.status >= 500 || asked.status == http.StatusTooManyRequests {
		return s.away(asked, fmt.Errorf("as %s: %s", who, firstLine(err.Error())), "check that this machine may reach Google's token services")
	}
	why := firstLine(err.Error())
	hint := "check the credentials of this registry"
	switch {
	case strings.Contains(why, "invalid_grant") && strings.Contains(why, "iat and exp"):
		hint = "check this machine's clock"
	case strings.Contains(why, "invalid_grant") && strings.Contains(why, "audience"):
		hint = "the token is for another audience: check the workload identity provider, and what issues the token"
	case strings.Contains(why, "invalid_grant"):
		hint = "the key or the session is revoked or over: give the registry another one"
	case strings.Contains(why, "getAccessToken") || asked.status == http.StatusForbidden:
		hint = "grant roles/iam.serviceAccountTokenCreator on each account of auth.gcp.impersonate to the one before it"
	}
	e := s.fail(providers.Denied, fmt.Errorf("as %s: %s", who, why), hint)
	e.Status = asked.status
	return e
}

// describe says how somebody signs in, before it is known who they are.
func (i Identity) describe() string {
	switch n := len(i.Impersonate); {
	case n > 0:
		return i.Impersonate[n-1]
	case i.Federated != nil:
		return "the workload of " + i.Federated.Provider
	case i.CredentialsFile != "":
		return "auth.gcp.credentialsFile"
	case os.Getenv("GOOGLE_APPLICATION_CREDENTIALS") != "":
		return "the file of GOOGLE_APPLICATION_CREDENTIALS"
	}
	return "Google's application default credentials"
}
