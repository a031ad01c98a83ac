package registrytest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/transship/transship/providers/registrytest/content"
)

// A client sends plain requests to a server, as a test writes them down.
type client struct {
	t      *testing.T
	s      *Server
	http   *http.Client
	base   string      // scheme and host that paths are taken to
	header http.Header // on every request
}

func newClient(t *testing.T, s *Server) *client {
	c := s.Client()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(c.CloseIdleConnections)
	return &client{t: t, s: s, http: c, base: s.URL(), header: http.Header{}}
}

// An answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // of the request, or of reading its body
}

// do sends a request to a path of the server or to a URL; headers are "Name: value".
func (c *client) do(method, to string, body []byte, headers ...string) answer {
	c.t.Helper()
	if strings.HasPrefix(to, "/") {
		to = c.base + to
	}
	req, err := http.NewRequestWithContext(context.Background(), method, to, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header = c.header.Clone()
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, read, err}
}

// want fails the test if the answer has another status.
func (c *client) want(status int, a answer) answer {
	c.t.Helper()
	if a.err != nil || a.status != status {
		c.t.Fatalf("answered %d %s (%v), want %d", a.status, a.body, a.err, status)
	}
	return a
}

// upload pushes a blob with POST and one PUT.
func (c *client) upload(repo string, data []byte) answer {
	c.t.Helper()
	a := c.do("POST", "/v2/"+repo+"/blobs/uploads/", nil)
	if a.err != nil || a.status != http.StatusAccepted {
		return a
	}
	return c.finish(a, data)
}

// finish PUTs the last bytes of an upload to where an answer says.
func (c *client) finish(a answer, data []byte, all ...[]byte) answer {
	c.t.Helper()
	whole := bytes.Join(append(all, data), nil)
	return c.do("PUT", c.location(a, content.Hash(whole).String()), data, "Content-Type: application/octet-stream")
}

// location resolves an answer's Location, with digest added unless it is "".
func (c *client) location(a answer, digest string) string {
	c.t.Helper()
	base, err := url.Parse(c.base)
	if err != nil {
		c.t.Fatal(err)
	}
	u, err := base.Parse(a.header.Get("Location"))
	if err != nil {
		c.t.Fatal(err)
	}
	if digest != "" {
		q := u.Query()
		q.Set("digest", digest)
		u.RawQuery = q.Encode()
	}
	return u.String()
}

// push pushes a manifest and everything below it.
func (c *client) push(repo, tag string, m *content.Manifest) answer {
	c.t.Helper()
	for _, child := range m.Children {
		c.want(201, c.push(repo, child.Digest.String(), child))
	}
	for _, b := range m.Blobs {
		data, err := io.ReadAll(io.NewSectionReader(b.Content, 0, b.Size))
		if err != nil {
			c.t.Fatal(err)
		}
		c.want(201, c.upload(repo, data))
	}
	return c.put(repo, tag, m)
}

func (c *client) put(repo, ref string, m *content.Manifest, headers ...string) answer {
	c.t.Helper()
	return c.do("PUT", "/v2/"+repo+"/manifests/"+ref, m.Raw, append(headers, "Content-Type: "+string(m.MediaType))...)
}

func basic(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

// token asks the token service for a token.
func (c *client) token(url string, headers ...string) string {
	c.t.Helper()
	a := c.want(200, c.do("GET", url, nil, headers...))
	var t struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(a.body, &t); err != nil {
		c.t.Fatal(err)
	}
	return t.Token
}
