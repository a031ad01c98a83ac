package acrtest

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/transship/transship/providers/registrytest"
)

// actions are what requests to the registry need of a token: all of them.
var actions = map[registrytest.Class][]string{
	registrytest.Tags:           {"metadata_read"},
	registrytest.ManifestHead:   {"pull"},
	registrytest.ManifestGet:    {"pull"},
	registrytest.ManifestPut:    {"pull", "push"},
	registrytest.ManifestDelete: {"delete"},
	registrytest.Referrers:      {"pull"},
	registrytest.BlobHead:       {"pull"},
	registrytest.BlobGet:        {"pull"},
	registrytest.BlobDelete:     {"delete"},
	registrytest.Mount:          {"pull", "push"},
	registrytest.UploadPost:     {"pull", "push"},
	registrytest.UploadPatch:    {"pull", "push"},
	registrytest.UploadPut:      {"pull", "push"},
	registrytest.UploadStatus:   {"pull", "push"},
	registrytest.UploadDelete:   {"pull", "push"},
}

// admit is what ACR asks of each request to the registry: a token that allows it,
// not too many a minute, no lock, the right form of Content-Range.
func (s *Server) admit(a *registrytest.Ask) *registrytest.Refusal {
	need := need{kind: "repository", name: a.Repo, actions: actions[a.Class]}
	switch a.Class {
	case registrytest.Catalog:
		need = catalogNeed
	case registrytest.Ping, registrytest.Other:
		need.kind = ""
	}
	client, f := s.authorize(a.Request, need)
	if f != nil {
		return f
	}
	a.User = client
	if f := s.rate(client, a.Write(), a.Class == registrytest.Referrers); f != nil {
		return f
	}
	if f := s.lockedOut(a); f != nil {
		return f
	}
	if f := contentRange(a); f != nil {
		return f
	}
	return s.geoRead(a)
}

// A need is what a token has to allow; a kind of "" is any token.
type need struct {
	kind, name string
	actions    []string
}

var catalogNeed = need{"registry", "catalog", []string{"*"}}

// authorize returns whose token a request has, if that allows what is needed.
func (s *Server) authorize(r *http.Request, n need) (client string, _ *registrytest.Refusal) {
	header := r.Header.Get("Authorization")
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(header) > s.quirks.HeaderMost {
		return "", &registrytest.Refusal{Status: 400, Text: "Request Header Or Cookie Too Large"}
	}
	given, isBearer := strings.CutPrefix(header, "Bearer ")
	t, good := s.access[given]
	good = good && time.Now().Before(t.ends)
	allowed := good && !slices.ContainsFunc(n.actions, func(action string) bool { return !t.allows(n.kind, n.name, action) })
	if allowed {
		return t.client, nil
	}
	return "", s.challenge(n, isBearer)
}

// challenge is 401 with what a token has to allow. There is no space after its
// commas, as the SDK wants it.
func (s *Server) challenge(n need, wrong bool) *registrytest.Refusal {
	c := fmt.Sprintf(`Bearer realm="%s/oauth2/token",service="%s"`, s.URL(), s.Host())
	var detail any
	if n.kind != "" {
		scope := strings.Join(n.actions, ",")
		c += fmt.Sprintf(`,scope="%s:%s:%s"`, n.kind, n.name, scope)
		var all []map[string]string
		for _, action := range n.actions {
			all = append(all, map[string]string{"Type": n.kind, "Name": n.name, "Action": action})
		}
		detail = all
	}
	if wrong {
		c += `,error="invalid_token"`
	}
	f := refuse(401, "UNAUTHORIZED", "authentication required", detail)
	f.Header = http.Header{"Www-Authenticate": {c}, "X-Ms-Correlation-Request-Id": {uuid()},
		"Strict-Transport-Security": {"max-age=31536000; includeSubDomains"}, "Access-Control-Expose-Headers": {"Docker-Content-Digest", "WWW-Authenticate", "Link", "X-Ms-Correlation-Request-Id"}}
	return f
}

var bareRange = regexp.MustCompile(`^\d+-\d+$`)

// contentRange refuses the form of RFC 9110, "bytes 0-1/*".
func contentRange(a *registrytest.Ask) *registrytest.Refusal {
	said := a.Request.Header.Get("Content-Range")
	if said == "" || a.Class != registrytest.UploadPatch && a.Class != registrytest.UploadPut || bareRange.MatchString(said) {
		return nil
	}
	return refuse(416, "RANGE_INVALID", "invalid content range",
		map[string]string{"Range": said, "Reason": "the Content-Range header format is invalid"})
}

// mount is what ACR asks of a mount: a token that may read there.
func (s *Server) mount(a *registrytest.Ask, from string) bool {
	_, f := s.authorize(a.Request, need{"repository", from, []string{"pull"}})
	return f == nil
}
