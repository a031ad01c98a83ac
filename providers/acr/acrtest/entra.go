package acrtest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/transship/transship/providers/registrytest/idp"
)

// Tenant is the tenant that apps and registries are of unless told otherwise.
const Tenant = "11111111-2222-3333-4444-555555555555"

// The audiences of tokens.
const (
	RegistryAudience = "https://containerregistry.azure.net"
	ARMAudience      = "https://management.azure.com"
)

// An Entra is Microsoft Entra ID over TLS, as azidentity speaks to it, and the
// metadata service that gives managed identities their tokens.
type Entra struct {
	http *httptest.Server

	mu     sync.Mutex
	life   time.Duration
	apps   map[string]*App // by client id
	tokens map[string]identity
	calls  map[string]int64

	issuers   idp.Issuers
	keys      map[string]*idp.Keys // by tenant, of tokens for Resources
	resources map[string]bool
}

// An App is a service principal or a managed identity.
type App struct {
	Name, Tenant, ClientID string
	// Secret is its client secret, SecretEnds when that expires, zero for never.
	Secret     string
	SecretEnds time.Time
	// Subject is that of the federated credential, with the audience
	// api://AzureADTokenExchange; "" for none.
	Subject string
	// Federated are credentials for tokens of other issuers, which have to be signed.
	Federated []FederatedCredential
	// Managed lets the metadata service give its tokens.
	Managed bool
	// Certificate takes any signed assertion of its own.
	Certificate bool
}

// An identity is what a token of Entra is for.
type identity struct {
	app      *App
	tenant   string
	audience string
	ends     time.Time
}

// StartEntra starts an Entra. The caller closes it.
func StartEntra() *Entra {
	e := &Entra{life: time.Hour, apps: map[string]*App{}, tokens: map[string]identity{}, calls: map[string]int64{},
		keys: map[string]*idp.Keys{}, resources: map[string]bool{}}
	e.http = httptest.NewTLSServer(e)
	return e
}

// Close ends the listener and its connections.
func (e *Entra) Close() { e.http.Close() }

// URL is the authority's.
func (e *Entra) URL() string { return e.http.URL + "/" }

// CA is the certificate, in PEM, that the authority's own is signed with.
func (e *Entra) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.http.Certificate().Raw})
}

// App makes an app with a secret, and lets change alter it first.
func (e *Entra) App(name string, change ...func(*App)) App {
	a := &App{Name: name, Tenant: Tenant, ClientID: uuid(), Secret: "s~" + random(20)}
	for _, c := range change {
		c(a)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.apps[a.ClientID] = a
	return *a
}

// Change alters an app.
func (e *Entra) Change(clientID string, change func(*App)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if a := e.apps[clientID]; a != nil {
		change(a)
	}
}

// SetLife is how long tokens are good from now on; an hour by default.
func (e *Entra) SetLife(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.life = d
}

// ForgetTokens takes back every token that was given.
func (e *Entra) ForgetTokens() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.tokens)
}

// Calls counts requests: "secret", "assertion", "metadata", "discovery".
func (e *Entra) Calls() map[string]int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.calls)
}

// Federated is a service account's token, as a cluster projects it.
func (e *Entra) Federated(subject, audience string) string {
	return jwt(map[string]any{"sub": subject, "aud": audience, "iss": "https://cluster.example", "exp": time.Now().Add(time.Hour).Unix()}, false)
}

// Token is a token for an app without asking: for tests that inject a credential.
func (e *Entra) Token(clientID, audience string) (token string, ends time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mint(e.apps[clientID], audience)
}

func (e *Entra) mint(a *App, audience string) (string, time.Time) {
	audience = audienceOf(audience)
	ends := time.Now().Add(e.life)
	if e.resources[audience] {
		return e.sign(a, audience, ends), ends
	}
	token := jwt(map[string]any{"aud": audience, "tid": a.Tenant, "appid": a.ClientID, "oid": a.ClientID, "app_displayname": a.Name,
		"iat": time.Now().Unix(), "nbf": time.Now().Unix(), "exp": ends.Unix(), "uti": random(8)}, false)
	e.tokens[token] = identity{a, a.Tenant, audience, ends}
	return token, ends
}

// holder is whom a token is for.
func (e *Entra) holder(token string) (identity, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id, ok := e.tokens[token]
	return id, ok && time.Now().Before(id.ends)
}

const (
	discoveryPath = "/v2.0/.well-known/openid-configuration"
	tokenPath     = "/oauth2/v2.0/token"
	metadataPath  = "/metadata/identity/oauth2/token"
)

// ServeHTTP is the authority, and the metadata service at its path.
func (e *Entra) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case strings.HasPrefix(r.URL.Path, issuerPath):
		e.serveIssuer(w, r)
	case strings.HasSuffix(r.URL.Path, discoveryPath):
		e.calls["discovery"]++
		base := "https://" + r.Host + strings.TrimSuffix(r.URL.Path, discoveryPath)
		answer(w, 200, map[string]any{"issuer": base + "/v2.0", "token_endpoint": base + tokenPath, "authorization_endpoint": base + "/oauth2/v2.0/authorize"})
	case strings.HasSuffix(r.URL.Path, tokenPath) && r.Method == http.MethodPost:
		e.serveToken(w, r, strings.Trim(strings.TrimSuffix(r.URL.Path, tokenPath), "/"))
	case r.URL.Path == metadataPath:
		e.serveMetadata(w, r)
	default:
		http.NotFound(w, r)
	}
}

// serveToken is the client credentials grant, by a secret or an assertion.
func (e *Entra) serveToken(w http.ResponseWriter, r *http.Request, tenant string) {
	if err := r.ParseForm(); err != nil {
		entraError(w, 400, "invalid_request", 900144, "the body cannot be read")
		return
	}
	a := e.apps[r.PostForm.Get("client_id")]
	assertion := r.PostForm.Get("client_assertion")
	if assertion != "" {
		e.calls["assertion"]++
	} else {
		e.calls["secret"]++
	}
	switch {
	case !e.tenant(tenant):
		entraError(w, 400, "invalid_request", 90002, "Tenant '"+tenant+"' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.")
	case a == nil || a.Tenant != tenant:
		entraError(w, 400, "unauthorized_client", 700016, "Application with identifier '"+r.PostForm.Get("client_id")+"' was not found in the directory.")
	case assertion == "" && (a.Secret == "" || r.PostForm.Get("client_secret") != a.Secret):
		entraError(w, 401, "invalid_client", 7000215, "Invalid client secret provided.")
	case assertion == "" && !a.SecretEnds.IsZero() && time.Now().After(a.SecretEnds):
		entraError(w, 401, "invalid_client", 7000222, "The provided client secret keys for app '"+a.ClientID+"' are expired.")
	case assertion != "" && len(a.Federated) > 0:
		if number, text := e.federates(a, assertion); number != 0 {
			entraError(w, 401, "invalid_client", number, text)
			return
		}
		e.give(w, a, r.PostForm.Get("scope"))
	case assertion != "" && !a.accepts(assertion):
		entraError(w, 401, "invalid_client", 700213, "No matching federated identity record found for presented assertion.")
	default:
		e.give(w, a, r.PostForm.Get("scope"))
	}
}

func (e *Entra) give(w http.ResponseWriter, a *App, scope string) {
	if audience := audienceOf(strings.Fields(scope + " ?")[0]); !e.gives(audience) {
		entraError(w, 400, "invalid_resource", 500011, "The resource principal named "+audience+" was not found in the tenant named "+a.Tenant+".")
		return
	}
	token, ends := e.mint(a, strings.Fields(scope + " ?")[0])
	answer(w, 200, map[string]any{"token_type": "Bearer", "expires_in": int(time.Until(ends).Seconds()), "access_token": token})
}

// tenant reports whether there is one: that of any app.
func (e *Entra) tenant(id string) bool {
	for _, a := range e.apps {
		if a.Tenant == id {
			return true
		}
	}
	return false
}

// accepts reports whether an assertion is the federated subject's, or one that the
// app signs itself.
func (a *App) accepts(assertion string) bool {
	var claims struct {
		Subject  string `json:"sub"`
		Audience any    `json:"aud"`
		Expires  int64  `json:"exp"`
	}
	if !readJWT(assertion, &claims) || time.Now().Unix() > claims.Expires {
		return false
	}
	if a.Subject != "" && claims.Subject == a.Subject {
		return fmt.Sprint(claims.Audience) == "api://AzureADTokenExchange"
	}
	return a.Certificate && claims.Subject == a.ClientID
}

// serveMetadata gives a managed identity's token.
func (e *Entra) serveMetadata(w http.ResponseWriter, r *http.Request) {
	e.calls["metadata"]++
	if r.Header.Get("Metadata") != "true" {
		answer(w, 400, map[string]any{"error": "invalid_request", "error_description": "Required metadata header not specified"})
		return
	}
	want := r.URL.Query().Get("client_id")
	for _, a := range e.apps {
		if resource := r.URL.Query().Get("resource"); a.Managed && !e.gives(audienceOf(resource)) {
			answer(w, 400, map[string]any{"error": "invalid_resource", "error_description": "AADSTS500011: The resource principal named " + resource + " was not found in the tenant named " + a.Tenant + "."})
			return
		}
		if a.Managed && (want == "" || want == a.ClientID) {
			token, ends := e.mint(a, r.URL.Query().Get("resource"))
			answer(w, 200, map[string]any{"token_type": "Bearer", "resource": r.URL.Query().Get("resource"), "access_token": token,
				"expires_in": fmt.Sprint(int(time.Until(ends).Seconds())), "expires_on": fmt.Sprint(ends.Unix()), "client_id": a.ClientID})
			return
		}
	}
	answer(w, 400, map[string]any{"error": "invalid_request", "error_description": "Identity not found"})
}

func entraError(w http.ResponseWriter, status int, code string, number int, text string) {
	answer(w, status, map[string]any{"error": code, "error_codes": []int{number},
		"error_description": fmt.Sprintf("AADSTS%d: %s Trace ID: %s Correlation ID: %s", number, text, uuid(), uuid())})
}

func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps and structs of ours
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away is its own business
}

func random(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}

func uuid() string {
	s := random(16)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
