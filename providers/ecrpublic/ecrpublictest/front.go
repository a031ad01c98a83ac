package ecrpublictest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/transship/transship/providers/registrytest"
)

const tokenPath = "/token/"

// actions are the permissions that writes need; anyone may read.
var actions = map[registrytest.Class]string{
	registrytest.ManifestPut:  "ecr-public:PutImage",
	registrytest.Mount:        "ecr-public:InitiateLayerUpload",
	registrytest.UploadPost:   "ecr-public:InitiateLayerUpload",
	registrytest.UploadPatch:  "ecr-public:UploadLayerPart",
	registrytest.UploadPut:    "ecr-public:CompleteLayerUpload",
	registrytest.UploadStatus: "ecr-public:UploadLayerPart",
	registrytest.UploadDelete: "ecr-public:UploadLayerPart",
}

// rates are the operations whose rate a request to the registry counts against.
var rates = map[registrytest.Class]string{
	registrytest.ManifestPut: "PutImage",
	registrytest.UploadPost:  "InitiateLayerUpload",
	registrytest.Mount:       "InitiateLayerUpload",
	registrytest.UploadPut:   "CompleteLayerUpload",
	registrytest.BlobHead:    "BatchCheckLayerAvailability",
}

// serveToken is the token service, at the registry's own host: anyone gets a token,
// but for who shows a password that is wrong or over.
func (s *Server) serveToken(w http.ResponseWriter, a *registrytest.Ask) bool {
	if a.Request.URL.Path != tokenPath {
		return false
	}
	user, password, given := a.Request.BasicAuth()
	s.mu.Lock()
	defer s.mu.Unlock()
	l, known := s.logins[password]
	switch {
	case given && (user != "AWS" || !known):
		refuse(http.StatusUnauthorized, "UNAUTHORIZED", "Not Authorized").Send(w)
		return true
	case given && time.Now().After(l.expires):
		refuse(s.quirks.ExpiredStatus, "DENIED", "Your authorization token has expired. Reauthenticate and try again.").Send(w)
		return true
	}
	token := rand.Text() + rand.Text()
	s.bearers[token] = bearer{l.key}
	body, err := json.Marshal(map[string]string{"token": token})
	if err != nil {
		panic(err) // strings
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // a client that went away is its own business
	return true
}

// admit is what ECR Public asks of each request to the registry: a token, and of
// writes that the alias is the writer's, who may, not too fast, in a repository that
// was made.
func (s *Server) admit(a *registrytest.Ask) *registrytest.Refusal {
	text, _ := strings.CutPrefix(a.Request.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	t, ok := s.bearers[text]
	s.mu.Unlock()
	if !ok {
		f := refuse(http.StatusUnauthorized, "UNAUTHORIZED", "Not Authorized")
		f.Header = http.Header{"Www-Authenticate": {fmt.Sprintf("Bearer realm=%q,service=\"public.ecr.aws\",scope=\"aws\"", s.URL()+tokenPath)}}
		return f
	}
	a.User = t.key
	if action := actions[a.Class]; action != "" {
		if f := s.mayWrite(a, action); f != nil {
			return f
		}
	}
	if op := rates[a.Class]; op != "" && s.aws.Throttled(op) {
		return refuse(http.StatusTooManyRequests, "TOOMANYREQUESTS", "Rate exceeded")
	}
	switch {
	case a.Class == registrytest.Catalog, a.Class == registrytest.Tags && !s.config().TagsList:
		return &registrytest.Refusal{Status: http.StatusNotFound, Text: "404 page not found"}
	case a.Repo != "" && !s.Exists(a.Repo):
		return refuse(http.StatusNotFound, "NAME_UNKNOWN", fmt.Sprintf("The repository with name '%s' does not exist in the registry", a.Repo))
	}
	return nil
}

func (s *Server) mayWrite(a *registrytest.Ask, action string) *registrytest.Refusal {
	alias, name := split(a.Repo)
	owner := s.owner(alias)
	account, may := s.aws.MayByKey(a.User, action)
	if account == "" || account != owner || !may {
		return refuse(http.StatusForbidden, "DENIED", s.aws.Denial(a.User, action, arn(owner, name)))
	}
	return nil
}

func arn(account, name string) string {
	return fmt.Sprintf("arn:aws:ecr-public::%s:repository/%s", account, name)
}

// mount is what ECR Public asks of a mount.
func (s *Server) mount(a *registrytest.Ask, from string) bool {
	source, _ := split(from)
	target, _ := split(a.Repo)
	return s.config().Mounts && s.Exists(from) && s.owner(source) == s.owner(target)
}

func refuse(status int, code, message string) *registrytest.Refusal {
	return &registrytest.Refusal{Status: status, Code: code, Message: message}
}
