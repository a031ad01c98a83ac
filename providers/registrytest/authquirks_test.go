package registrytest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest/content"
)

func TestAuthQuirks(t *testing.T) {
	users := map[string]string{"ann": "secret"}
	t.Run("basic", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Auth: Auth{Mode: Basic, Users: users,
			Grants: map[string][]Grant{"ann": {{"app", []string{"pull"}}}}}})
		a := c.want(401, c.do("GET", "/v2/", nil))
		if got := a.header.Get("Www-Authenticate"); !strings.HasPrefix(got, "Basic realm=") {
			t.Errorf("challenge %s", got)
		}
		c.want(401, c.do("GET", "/v2/app/tags/list", nil, "Authorization: "+basic("ann", "wrong")))
		good := "Authorization: " + basic("ann", "secret")
		c.want(200, c.do("GET", "/v2/", nil, good))
		c.want(200, c.do("GET", "/v2/app/tags/list", nil, good))
		c.want(403, c.do("POST", "/v2/app/blobs/uploads/", nil, good))
	})
	t.Run("anonymous", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Auth: Auth{Mode: Bearer, Users: users, AnonymousPull: true}})
		c.want(401, c.do("GET", "/v2/app/tags/list", nil))
		bearer := "Authorization: Bearer " + c.token(c.s.TokenURL()+"?scope=repository:app:pull,push")
		c.want(200, c.do("GET", "/v2/app/tags/list", nil, bearer))
		a := c.want(401, c.do("POST", "/v2/app/blobs/uploads/", nil, bearer))
		if got := a.header.Get("Www-Authenticate"); !strings.Contains(got, `error="insufficient_scope"`) {
			t.Errorf("challenge %s", got)
		}
	})
	t.Run("one scope", func(t *testing.T) {
		c, layer, _ := withLayer(t, Quirks{Auth: Auth{Mode: Bearer, Users: users, OneScope: true}})
		bearer := "Authorization: Bearer " + c.token(c.s.TokenURL()+"?scope=repository:to:pull,push&scope=repository:app:pull",
			"Authorization: "+basic("ann", "secret"))
		c.want(202, c.do("POST", "/v2/to/blobs/uploads/?from=app&mount="+layer.Digest.String(), nil, bearer))
		c.s.Set(func(q *Quirks) { q.OneScope = false })
		bearer = "Authorization: Bearer " + c.token(c.s.TokenURL()+"?scope=repository:to:pull,push&scope=repository:app:pull",
			"Authorization: "+basic("ann", "secret"))
		c.want(201, c.do("POST", "/v2/to/blobs/uploads/?from=app&mount="+layer.Digest.String(), nil, bearer))
	})
	t.Run("identity token", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Auth: Auth{Mode: Bearer, Identities: map[string]string{"refresh-me": "ann"}, NoExpiresIn: true}})
		form := "Content-Type: application/x-www-form-urlencoded"
		c.want(401, c.do("POST", c.s.TokenURL(), []byte("grant_type=refresh_token&refresh_token=other"), form))
		a := c.want(200, c.do("POST", c.s.TokenURL(),
			[]byte("grant_type=refresh_token&refresh_token=refresh-me&scope=repository:app:pull"), form))
		if bytes.Contains(a.body, []byte("expires_in")) {
			t.Errorf("answered %s", a.body)
		}
	})
	t.Run("life and realm", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Auth: Auth{Mode: Bearer, Users: users, TokenLife: time.Nanosecond, Realm: "http://127.0.0.2:1/token"}})
		bearer := "Authorization: Bearer " + c.token(c.s.TokenURL()+"?scope=repository:app:pull", "Authorization: "+basic("ann", "secret"))
		a := c.want(401, c.do("GET", "/v2/app/tags/list", nil, bearer))
		if got := a.header.Get("Www-Authenticate"); !strings.Contains(got, "127.0.0.2:1") || !strings.Contains(got, "invalid_token") {
			t.Errorf("challenge %s", got)
		}
	})
	t.Run("catalog", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Auth: Auth{Mode: Bearer, Users: users}})
		bearer := "Authorization: Bearer " + c.token(c.s.TokenURL()+"?scope=registry:catalog:*", "Authorization: "+basic("ann", "secret"))
		c.want(200, c.do("GET", "/v2/_catalog", nil, bearer))
	})
}

func TestLimits(t *testing.T) {
	img := content.Image("x", nil)
	for _, tt := range []struct {
		name   string
		limits Limits
		status int
		code   string
		read   int // of a repository that is not there
	}{
		{"read only", Limits{ReadOnly: true}, 403, "DENIED", 404},
		{"full", Limits{Full: true}, 403, "DENIED", 404},
		{"as ECR", Limits{MustExist: MustExistAsECR}, 404, "NAME_UNKNOWN", 404},
		{"as GAR", Limits{MustExist: MustExistAsGAR}, 403, "DENIED", 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _, _ := withLayer(t, Quirks{Limits: tt.limits})
			for _, a := range []answer{c.upload("new", []byte("x")), c.put("new", "v1", img)} {
				if c.want(tt.status, a); codes(a) != tt.code {
					t.Errorf("refused with %s", a.body)
				}
			}
			c.want(tt.read, c.do("GET", "/v2/new/tags/list", nil))
			c.want(200, c.do("GET", "/v2/app/tags/list", nil))
			if tt.limits.MustExist != "" {
				c.s.Create("new")
				c.want(201, c.push("new", "v1", img))
			}
		})
	}
}
