package acr

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/transship/transship/providers"
)

const (
	opImport   = "import"
	apiVersion = "2023-07-01"
	importMost = 50        // manifests of an image that ACR imports
	importTime = time.Hour // that an import may take
	answerMost = 1 << 20   // bytes of an answer that are read
	hintImport = "give the identity a role at the registry that has Microsoft.ContainerRegistry/registries/importImage/action, such as Container Registry Data Importer and Data Reader, or remove via: import"
)

// resourceID is how a registry is named to Azure's resource manager; policies are held
// to the same. The group's name is measured apart: its letters are those of all
// scripts, and ninety times that is megabytes of memory.
var resourceID = regexp.MustCompile(`^/subscriptions/[0-9a-fA-F-]{36}/resourceGroups/([-\p{L}\p{N}_.()]+)/providers/Microsoft\.ContainerRegistry/registries/[a-zA-Z0-9]{5,50}$`)

const longestGroup = 90 // characters

func isResourceID(id string) bool {
	m := resourceID.FindStringSubmatch(id)
	return m != nil && utf8.RuneCountInString(m[1]) <= longestGroup
}

// managers are Azure's resource managers, by cloud.
var managers = map[string]string{"io": "https://management.azure.com", "cn": "https://management.chinacloudapi.cn", "us": "https://management.usgovcloudapi.net"}

// importing is what the resource manager is asked for (ARM, importImage).
type importing struct {
	Source   importFrom `json:"source"`
	Untagged []string   `json:"untaggedTargetRepositories"`
	Mode     string     `json:"mode"`
}

type importFrom struct {
	Registry    string             `json:"registryUri,omitempty"`
	ResourceID  string             `json:"resourceId,omitempty"`
	Image       string             `json:"sourceImage"`
	Credentials *importCredentials `json:"credentials,omitempty"`
}

type importCredentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Import has ACR read the manifest by its digest, and put no tag: what is tagged is
// whole already. The source's password, if there is one, goes to Azure.
func (r *Registry) Import(ctx context.Context, repo string, from providers.ImportSource) error {
	if !isResourceID(r.opts.ResourceID) {
		return r.fail(opImport, repo, providers.Unsupported, errors.New("the registry's resource id is not known, or none"), "give the registry its resourceID, or remove via: import")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, importTime, fmt.Errorf("the import has not ended within %v", importTime))
	defer cancel()
	m := manager{r, repo, from}
	body, err := json.Marshal(m.question())
	if err != nil {
		return r.fail(opImport, repo, providers.Invalid, err, "")
	}
	at := r.manager() + r.opts.ResourceID + "/importImage?api-version=" + apiVersion
	return m.await(ctx, http.MethodPost, at, body)
}

// manager is the resource manager of the registry's cloud.
func (r *Registry) manager() string {
	if r.opts.Endpoints.Manager != "" {
		return strings.TrimSuffix(r.opts.Endpoints.Manager, "/")
	}
	return r.cloudManager()
}

// cloudManager is the public cloud's for a host that does not tell.
func (r *Registry) cloudManager() string { return cmp.Or(managers[r.host.Cloud], managers["io"]) }

// managerScope is what a token for the resource manager is asked with.
func (r *Registry) managerScope() string { return r.cloudManager() + "/.default" }

// A manager asks for one import.
type manager struct {
	r    *Registry
	repo string
	from providers.ImportSource
}

func (m manager) question() importing {
	host, repo := m.from.Host, m.from.Repo
	if host == "docker.io" || strings.HasSuffix(host, ".docker.io") { // which Azure knows by this name, and its own images by all of theirs
		host = "docker.io"
		if !strings.Contains(repo, "/") {
			repo = "library/" + repo
		}
	}
	q := importing{Source: importFrom{Registry: host, Image: repo + "@" + m.from.Digest.String()}, Untagged: []string{m.repo}, Mode: "NoForce"}
	switch {
	case m.from.ResourceID != "":
		q.Source.Registry, q.Source.ResourceID = "", m.from.ResourceID
	case m.from.Password != "":
		q.Source.Credentials = &importCredentials{m.from.Username, m.from.Password}
	}
	return q
}

// await asks, and then again and again how far it is (ARM, asynchronous operations).
func (m manager) await(ctx context.Context, method, at string, body []byte) error {
	budget := m.r.opts.OCI.Retry.WithDefaults()
	wait, failures := budget.Min, 0
	for {
		a, err := m.ask(ctx, method, at, body)
		switch kind := providers.KindOf(err); {
		case err != nil && (!kind.Retryable() || ctx.Err() != nil):
			return err
		case err != nil:
			if failures++; failures >= budget.Tries {
				return err
			}
		case a.done:
			return nil
		case a.next != "":
			method, at, body, failures = http.MethodGet, a.next, nil, 0
		}
		if err := pause(ctx, max(wait, min(a.after, time.Minute))); err != nil {
			return err
		}
		wait = min(2*wait, budget.Max)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A managed is what the resource manager answered.
type managed struct {
	done  bool
	next  string // where to ask how far it is
	after time.Duration
}

func (m manager) ask(ctx context.Context, method, at string, body []byte) (a managed, err error) {
	resp, err := m.send(ctx, method, at, body)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, answerMost))
	if err != nil {
		return a, m.fail(ctx, providers.Unavailable, err, "")
	}
	a.after = after(resp)
	var said struct {
		Status string
		Error  *struct{ Code, Message string }
	}
	_ = json.Unmarshal(raw, &said) // an answer without a body says it by its status
	switch {
	case said.Error != nil:
		return a, m.refused(ctx, resp.StatusCode, said.Error.Code, said.Error.Message)
	case resp.StatusCode >= 300:
		return a, m.refused(ctx, resp.StatusCode, "", http.StatusText(resp.StatusCode))
	case said.Status == "Failed" || said.Status == "Canceled":
		return a, m.refused(ctx, http.StatusBadRequest, said.Status, "the import did not succeed")
	case resp.StatusCode != http.StatusAccepted && (said.Status == "" || said.Status == "Succeeded"):
		a.done = true
		return a, nil
	}
	a.next, err = m.operation(ctx, at, resp.Header)
	return a, err
}

// operation is where to ask how far it is: at the resource manager only, as our token
// goes there.
func (m manager) operation(ctx context.Context, at string, h http.Header) (string, error) {
	next := h.Get("Azure-AsyncOperation")
	if next == "" {
		next = h.Get("Location")
	}
	if next == "" {
		return at, nil
	}
	base, err := url.Parse(at)
	if err == nil {
		var u *url.URL
		if u, err = base.Parse(next); err == nil && (u.Host != base.Host || u.Scheme != base.Scheme) {
			err = errors.New("it is at another host")
		}
		if err == nil {
			return u.String(), nil
		}
	}
	return "", m.fail(ctx, providers.Invalid, fmt.Errorf("where the import can be asked about cannot be used: %w", err), "")
}

func (m manager) send(ctx context.Context, method, at string, body []byte) (*http.Response, error) {
	o, err := m.r.clientOptions()
	if err != nil {
		return nil, err
	}
	m.r.entra.mu.Lock()
	cred, err := m.r.credential()
	m.r.entra.mu.Unlock()
	if err != nil {
		return nil, m.r.unusable(err)
	}
	token, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{m.r.managerScope()}})
	if err != nil {
		return nil, m.r.explainEntra(ctx, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return nil, m.fail(ctx, providers.Invalid, errors.New("the resource manager's address cannot be read"), "")
	}
	if req.URL.Scheme != "https" {
		return nil, m.fail(ctx, providers.Invalid, errors.New("the resource manager is not asked without TLS"), "")
	}
	req.Header.Set("Authorization", "Bearer "+token.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := o.Transport.Do(req)
	if err != nil {
		return nil, m.fail(ctx, providers.Unavailable, errors.New(reason(err.Error())), "check that this machine may reach "+req.URL.Host)
	}
	return resp, nil
}

func (m manager) fail(ctx context.Context, kind providers.Kind, err error, hint string) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return m.r.fail(opImport, m.repo, kind, err, hint)
}

// refused is the error of an import that Azure does not do, or could not.
func (m manager) refused(ctx context.Context, status int, code, message string) error {
	if m.from.Password != "" {
		message = strings.ReplaceAll(message, m.from.Password, "[redacted]")
	}
	kind, hint := importKind(status, code, message)
	err := m.fail(ctx, kind, fmt.Errorf("the answer to the import of %s is %d: %s: %s", m.from, status, clean(code), clean(message)), hint)
	if e, ok := errors.AsType[*providers.Error](err); ok {
		e.Status, e.Code = status, code
	}
	return err
}

func importKind(status int, code, message string) (providers.Kind, string) {
	words := strings.ToLower(code + " " + message)
	const own = "remove via: import to have it copied by transship"
	switch {
	case strings.Contains(words, "source") && (strings.Contains(words, "unauthorized") || strings.Contains(words, "denied") || strings.Contains(words, "forbidden")):
		return providers.Denied, "the source refuses Azure: let it be read by whom shareSourceCredential or resourceID name, or " + own
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return providers.Denied, hintImport
	case status == http.StatusTooManyRequests:
		return providers.Throttled, ""
	case status == http.StatusConflict:
		return providers.Conflict, own
	case status == http.StatusNotFound && code == "ResourceNotFound":
		return providers.Invalid, "check resourceID of the registry"
	case status == http.StatusNotFound:
		return providers.NotFound, own
	case status >= http.StatusInternalServerError:
		return providers.Unavailable, ""
	}
	return providers.Invalid, own
}
