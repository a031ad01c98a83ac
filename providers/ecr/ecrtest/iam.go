package ecrtest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/transship/transship/providers/registrytest/idp"
)

// An IAM is who there is, what they may do, and which keys and tokens are theirs.
// It is safe for concurrent use.
type IAM struct {
	mu          sync.Mutex
	users       map[string]*principal // by ARN
	roles       map[string]*role      // by ARN
	keys        map[string]*key       // by access key id
	tokens      map[string]*token     // registry tokens
	identities  map[string]webToken   // OIDC tokens of workloads
	podTokens   map[string]string     // tokens of pods, and the role they stand for
	providers   map[string][]string   // OIDC identity providers by their issuers, and the audiences that each takes
	issuers     idp.Issuers           // where the issuers are
	outbound    *idp.Keys             // of sts:GetWebIdentityToken; nil while the account does not allow that
	SessionLife time.Duration         // of assumed roles that do not ask for another; 1 hour if 0. Set it before use
}

// NewIAM returns an IAM without anybody.
func NewIAM() *IAM {
	return &IAM{users: map[string]*principal{}, roles: map[string]*role{}, keys: map[string]*key{},
		tokens: map[string]*token{}, identities: map[string]webToken{}, podTokens: map[string]string{}, providers: map[string][]string{}}
}

// A principal is someone who signs. Its actions are patterns of "service:Action".
type principal struct {
	arn     string
	account string
	allow   []string
}

func (p *principal) may(action string) bool {
	return slices.ContainsFunc(p.allow, func(pattern string) bool {
		ok, err := path.Match(pattern, action)
		return ok && err == nil
	})
}

// A role with who may take it.
type role struct {
	principal
	Trust
}

// Trust is who may take a role.
type Trust struct {
	Principals []string // ARNs of users and roles, or "*"
	ExternalID string   // wanted if not ""
	Subjects   []string // of a cluster's tokens, for AssumeRoleWithWebIdentity
	// Federated are the statements about tokens of identity providers.
	Federated []Federated
}

// A key signs for a principal, a session's until it ends.
type key struct {
	Key
	who     *principal
	session string // the principal's ARN as GetCallerIdentity says it
	expires time.Time
	revoked bool
}

// A Key is an access key.
type Key struct{ ID, Secret, Token string }

type token struct {
	who     *key
	region  string
	expires time.Time
}

type webToken struct {
	subject, audience string
	expires           time.Time
}

// User makes a user of account 123456789012 that may do the actions, patterns
// such as "ecr:Describe*"; without any it may do everything. It returns a key.
func (i *IAM) User(name string, actions ...string) Key {
	return i.UserOf("123456789012", name, actions...)
}

// UserOf makes a user of that account.
func (i *IAM) UserOf(account, name string, actions ...string) Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	p := &principal{arn: fmt.Sprintf("arn:aws:iam::%s:user/%s", account, name), account: account, allow: orAll(actions)}
	i.users[p.arn] = p
	return i.issue("AKIA", p, p.arn, time.Time{}).Key
}

// Role makes a role, and returns its ARN.
func (i *IAM) Role(account, name string, trust Trust, actions ...string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	arn := fmt.Sprintf("arn:aws:iam::%s:role/%s", account, name)
	i.roles[arn] = &role{principal{arn, account, orAll(actions)}, trust}
	return arn
}

func orAll(actions []string) []string {
	if len(actions) == 0 {
		return []string{"*:*"}
	}
	return actions
}

// Allow changes what a user or role may do.
func (i *IAM) Allow(arn string, actions ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if p := i.users[arn]; p != nil {
		p.allow = actions
	}
	if r := i.roles[arn]; r != nil {
		r.allow = actions
	}
}

// Revoke makes a key, and the sessions of the role or user that has this ARN, unknown.
func (i *IAM) Revoke(idOrARN string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for id, k := range i.keys {
		if id == idOrARN || k.who.arn == idOrARN {
			k.revoked = true
		}
	}
}

// ExpireSessions ends every session, as if its time were over.
func (i *IAM) ExpireSessions() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, k := range i.keys {
		if !k.expires.IsZero() {
			k.expires = time.Unix(1, 0)
		}
	}
}

// ExpireTokens ends every registry token, as if its time were over.
func (i *IAM) ExpireTokens() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, t := range i.tokens {
		t.expires = time.Unix(1, 0)
	}
}

// ForgetTokens makes every registry token one that was never issued.
func (i *IAM) ForgetTokens() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.tokens)
}

// WebIdentity issues an OIDC token as a cluster does for a service account.
func (i *IAM) WebIdentity(subject, audience string, life time.Duration) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	t := opaque + random(16) + ".token"
	i.identities[t] = webToken{subject, audience, time.Now().Add(life)}
	return t
}

// PodToken issues a token for which the Pod Identity endpoint gives a role's keys.
func (i *IAM) PodToken(roleARN string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	t := "pod." + random(16)
	i.podTokens[t] = roleARN
	return t
}

// EndPodToken makes a pod's token invalid.
func (i *IAM) EndPodToken(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.podTokens, token)
}

// issue makes a key. The caller holds i.mu.
func (i *IAM) issue(prefix string, who *principal, session string, expires time.Time) *key {
	k := &key{Key: Key{ID: prefix + strings.ToUpper(random(8)), Secret: random(20)}, who: who, session: session, expires: expires}
	if !expires.IsZero() {
		k.Token = random(32)
	}
	i.keys[k.ID] = k
	return k
}

// session makes the keys of an assumed role. The caller holds i.mu.
func (i *IAM) session(r *role, name string, life time.Duration) *key {
	if i.SessionLife > 0 {
		life = i.SessionLife
	}
	short := r.arn[strings.LastIndex(r.arn, "/")+1:]
	session := fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/%s", r.account, short, name)
	return i.issue("ASIA", &r.principal, session, time.Now().Add(life))
}

// registryToken issues the password of user AWS.
func (i *IAM) registryToken(k *key, region string, life time.Duration) (string, time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	password := base64.RawURLEncoding.EncodeToString([]byte(random(900))) // real ones are as long
	until := time.Now().Add(life)
	i.tokens[password] = &token{k, region, until}
	return password, until
}

// Password is a registry token, as GetAuthorizationToken gives it to the holder of a
// key, for user AWS of clients such as curl; "" if there is no such key.
func (s *Server) Password(k Key, life time.Duration) string {
	s.iam.mu.Lock()
	holder := s.iam.keys[k.ID]
	s.iam.mu.Unlock()
	if holder == nil {
		return ""
	}
	password, _ := s.iam.registryToken(holder, s.region, life)
	return password
}

// holder returns whose token a password is, and whether its time is over.
func (i *IAM) holder(password, region string) (who *key, expired, ok bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	t := i.tokens[password]
	if t == nil || t.region != region || t.who.revoked {
		return nil, false, false
	}
	return t.who, time.Now().After(t.expires), true
}

func (i *IAM) may(who *principal, action string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return who.may(action)
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
