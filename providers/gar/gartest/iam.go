package gartest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/transship/transship/providers/registrytest/idp"
)

// An IAM is who there is, what they may do, and which tokens are theirs. It is safe
// for concurrent use.
type IAM struct {
	mu        sync.Mutex
	accounts  map[string]*account // by email, or a federated principal's name
	keys      map[string]string   // key ids, and whose they are
	refreshes map[string]string   // refresh tokens of users
	workloads map[string]workload // tokens of another cloud or cluster
	tokens    map[string]token
	pools     map[string]PoolProvider // by resource name
	issuers   idp.Issuers
	google    *idp.Keys // of ID tokens
}

// NewIAM returns an IAM without anybody.
func NewIAM() *IAM {
	return &IAM{accounts: map[string]*account{}, keys: map[string]string{}, refreshes: map[string]string{},
		workloads: map[string]workload{}, tokens: map[string]token{},
		pools: map[string]PoolProvider{}, google: idp.NewKeys(Issuer)}
}

type account struct {
	allow []string // patterns of permissions
	trust []string // who may get tokens of it
	sets  []string // of a federated principal: the sets that it is in
	id    string   // the number of a service account
}

type token struct {
	of      string
	expires time.Time
}

type workload struct{ subject, audience string }

// Project is the project that accounts belong to.
const Project = "acme"

// Account makes a service account that may do the actions, patterns such as
// "artifactregistry.tags.*"; without any it may do everything. It returns its email.
func (i *IAM) Account(name string, permissions ...string) string {
	email := name + "@" + Project + ".iam.gserviceaccount.com"
	i.Allow(email, permissions...)
	return email
}

// Allow changes what an account, or a federated principal, may do; it makes it if it
// is not there.
func (i *IAM) Allow(name string, permissions ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(permissions) == 0 {
		permissions = []string{"*"}
	}
	if i.accounts[name] == nil {
		i.accounts[name] = &account{id: fmt.Sprint(100000000000000000 + len(i.accounts))}
	}
	i.accounts[name].allow = permissions
}

// Trust lets somebody get tokens of an account.
func (i *IAM) Trust(email, by string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if a := i.accounts[email]; a != nil {
		a.trust = append(a.trust, by)
	}
}

// Workload makes a token of a cluster or another cloud, to be exchanged for that
// audience.
func (i *IAM) Workload(subject, audience string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	t := random()
	i.workloads[t] = workload{subject, audience}
	return t
}

// Principal is the name of a workload of a pool, to be allowed something.
func Principal(subject string) string { return "principal://iam.googleapis.com/subject/" + subject }

// Revoke takes an account, with its keys and tokens, away.
func (i *IAM) Revoke(email string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.accounts, email)
}

// ExpireTokens ends every access token.
func (i *IAM) ExpireTokens() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.tokens)
}

// Token issues an access token, for tests that speak to the server themselves.
func (i *IAM) Token(email string, life time.Duration) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	t := "ya29." + random()
	i.tokens[t] = token{email, time.Now().Add(life)}
	return t
}

// bearer is whose token that is, "" for nobody's.
func (i *IAM) bearer(t string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	have, ok := i.tokens[t]
	if !ok || time.Now().After(have.expires) || i.accounts[have.of] == nil {
		return ""
	}
	return have.of
}

func (i *IAM) may(who, permission string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	a := i.accounts[who]
	return a != nil && slices.ContainsFunc(a.allow, func(pattern string) bool {
		ok, err := path.Match(pattern, permission)
		return ok && err == nil
	})
}

func (i *IAM) trusts(email, by string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	a, who := i.accounts[email], i.accounts[by]
	return a != nil && (slices.Contains(a.trust, by) || who != nil && slices.ContainsFunc(who.sets, func(set string) bool { return slices.Contains(a.trust, set) }))
}

func (i *IAM) exists(email string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.accounts[email] != nil
}

// keyPair is that of every account: making one takes a while.
var keyPair = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // no randomness
	}
	return k
})

// KeyFile is a key of a service account, as Google's console hands it out.
func (s *Server) KeyFile(email string) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(keyPair())
	if err != nil {
		panic(err) // an RSA key
	}
	id := random()
	s.iam.mu.Lock()
	s.iam.keys[id] = email
	s.iam.mu.Unlock()
	return marshal(map[string]string{"type": "service_account", "project_id": Project, "private_key_id": id,
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email": email, "client_id": "1", "token_uri": s.TokenURI()})
}

// RevokeKey takes the key of a key file away.
func (s *Server) RevokeKey(file []byte) {
	var f struct {
		ID string `json:"private_key_id"`
	}
	if err := json.Unmarshal(file, &f); err != nil {
		panic(err) // a file of ours
	}
	s.iam.mu.Lock()
	defer s.iam.mu.Unlock()
	delete(s.iam.keys, f.ID)
}

// UserFile is what "gcloud auth application-default login" writes; its tokens come
// from TokenURI, which the file does not name.
func (s *Server) UserFile(email string) []byte {
	t := random()
	s.iam.mu.Lock()
	s.iam.refreshes[t] = email
	s.iam.mu.Unlock()
	return marshal(map[string]string{"type": "authorized_user", "client_id": "id", "client_secret": "secret", "refresh_token": t})
}

// FederationFile is a file of workload identity federation, whose subject token is
// in a file; impersonate is the account whose tokens are wanted, "" for the
// workload's own.
func (s *Server) FederationFile(audience, subjectTokenFile, impersonate string) []byte {
	f := map[string]any{"type": "external_account", "audience": audience, "token_url": s.api.URL() + "/v1/token",
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "credential_source": map[string]any{"file": subjectTokenFile}}
	if impersonate != "" {
		f["service_account_impersonation_url"] = s.api.URL() + "/v1/projects/-/serviceAccounts/" + impersonate + ":generateAccessToken"
	}
	return marshal(f)
}

func marshal(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of ours
	}
	return raw
}

func random() string {
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
