package ecrtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/transship/transship/providers/registrytest/content"
)

// sdk is the real client of the control plane, signing with a key; it tries once.
func sdk(s *Server, k Key, opts ...func(*ecr.Options)) *ecr.Client {
	return ecr.New(ecr.Options{Region: s.Region(), BaseEndpoint: aws.String(s.Endpoint()), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(k.ID, k.Secret, k.Token)}, opts...)
}

func stsClient(s *Server, k Key) *sts.Client {
	return sts.New(sts.Options{Region: s.Region(), BaseEndpoint: aws.String(s.Endpoint()), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(k.ID, k.Secret, k.Token)})
}

// failsWith wants an error of that code.
func failsWith(t *testing.T, code string, err error) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// A wire sends plain requests to the registry, as docker does.
type wire struct {
	*testing.T
	s        *Server
	http     *http.Client
	password string
}

// newWire signs in as a user who may do everything.
func newWire(t *testing.T, s *Server) *wire {
	w := &wire{T: t, s: s, http: s.Client()}
	w.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(w.http.CloseIdleConnections)
	w.signIn(s.IAM().User("docker"))
	return w
}

func (w *wire) signIn(k Key) {
	w.Helper()
	out, err := sdk(w.s, k).GetAuthorizationToken(context.Background(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		w.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(*out.AuthorizationData[0].AuthorizationToken)
	if err != nil {
		w.Fatal(err)
	}
	w.password = strings.TrimPrefix(string(raw), "AWS:")
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (w *wire) do(method, to string, body []byte, headers ...string) answer {
	w.Helper()
	if strings.HasPrefix(to, "/") {
		to = w.s.URL() + to
	}
	req, err := http.NewRequestWithContext(context.Background(), method, to, bytes.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if w.password != "" {
		req.SetBasicAuth("AWS", w.password)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(read)}
}

// want wants a status and a text in the body.
func (w *wire) want(status int, text string, a answer) answer {
	w.Helper()
	if a.status != status || !strings.Contains(a.body, text) {
		w.Fatalf("answered %d %s, want %d with %q", a.status, a.body, status, text)
	}
	return a
}

func (w *wire) upload(repo string, data []byte) answer {
	w.Helper()
	a := w.want(202, "", w.do("POST", "/v2/"+repo+"/blobs/uploads/", nil))
	return w.do("PUT", withDigest(a, data), data)
}

func withDigest(a answer, data []byte) string {
	sep := "?"
	if strings.Contains(a.header.Get("Location"), "?") {
		sep = "&"
	}
	return a.header.Get("Location") + sep + "digest=" + content.Hash(data).String()
}

// blobs uploads what a manifest names.
func (w *wire) blobs(repo string, m *content.Manifest) {
	w.Helper()
	for _, b := range m.Blobs {
		data, err := io.ReadAll(io.NewSectionReader(b.Content, 0, b.Size))
		if err != nil {
			w.Fatal(err)
		}
		w.want(201, "", w.upload(repo, data))
	}
}

func (w *wire) put(repo, ref string, m *content.Manifest) answer {
	w.Helper()
	return w.do("PUT", fmt.Sprintf("/v2/%s/manifests/%s", repo, ref), m.Raw, "Content-Type: "+string(m.MediaType))
}

func load(t *testing.T, s *Server, repo string, m *content.Manifest, tags ...string) {
	t.Helper()
	if err := s.Load(repo, m, tags...); err != nil {
		t.Fatal(err)
	}
}
