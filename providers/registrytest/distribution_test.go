package registrytest

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/transship/transship/providers/registrytest/content"
)

// TestAnswersAsDistribution sends the same requests to the front and to bare
// distribution, and compares what both have an answer for.
func TestAnswersAsDistribution(t *testing.T) {
	ours := newClient(t, New(t, Options{Quirks: Quirks{Listing: Listing{PageMax: 1000, TrailingLink: true}}}))
	bare := newBackend(newDriver(""))
	t.Cleanup(bare.close)
	srv := httptest.NewServer(bare)
	t.Cleanup(srv.Close)
	theirs := newClient(t, ours.s)
	theirs.base = srv.URL

	img := content.Image("x", []content.Blob{content.Layer("a", 4000), content.Layer("", 0)})
	docker := content.Image("d", []content.Blob{content.Layer("a", 4000)}, content.Docker())
	ix := content.Index([]*content.Manifest{img})
	helm := content.Helm("chart")
	for _, c := range []*client{ours, theirs} {
		for tag, m := range map[string]*content.Manifest{"v1": img, "docker": docker, "ix": ix, "helm": helm} {
			c.want(201, c.push("team/app", tag, m))
		}
		c.want(201, c.push("other", "v1", img))
	}
	layer, missing := img.Blobs[1].Digest.String(), content.Hash([]byte("missing")).String()
	accept := "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " +
		"application/vnd.docker.distribution.manifest.v2+json, */*"
	lacking := content.Image("lacking", []content.Blob{content.Layer("nowhere", 5)})
	sparse := content.Index([]*content.Manifest{lacking})

	for _, tt := range []struct {
		name, method, path string
		body               []byte
		headers            []string
	}{
		{"ping", "GET", "/v2/", nil, nil},
		{"no route", "GET", "/v2/x", nil, nil},
		{"not v2", "GET", "/v3/", nil, nil},
		{"catalog", "GET", "/v2/_catalog", nil, nil},
		{"catalog, page", "GET", "/v2/_catalog?n=1", nil, nil},
		{"catalog, last page", "GET", "/v2/_catalog?n=1&last=other", nil, nil},
		{"catalog, bad n", "GET", "/v2/_catalog?n=x", nil, nil},
		{"catalog, negative n", "GET", "/v2/_catalog?n=-1", nil, nil},
		{"tags", "GET", "/v2/team/app/tags/list", nil, nil},
		{"tags, page", "GET", "/v2/team/app/tags/list?n=2", nil, nil},
		{"tags, second page", "GET", "/v2/team/app/tags/list?n=2&last=helm", nil, nil},
		{"tags, exactly all", "GET", "/v2/team/app/tags/list?n=4", nil, nil},
		{"tags, last unknown", "GET", "/v2/team/app/tags/list?n=2&last=e", nil, nil},
		{"tags, bad n", "GET", "/v2/team/app/tags/list?n=x", nil, nil},
		{"tags, no repository", "GET", "/v2/absent/tags/list", nil, nil},
		{"manifest", "GET", "/v2/team/app/manifests/v1", nil, []string{accept}},
		{"manifest HEAD", "HEAD", "/v2/team/app/manifests/v1", nil, []string{accept}},
		{"manifest by digest", "GET", "/v2/team/app/manifests/" + img.Digest.String(), nil, []string{accept}},
		{"manifest, not modified", "GET", "/v2/team/app/manifests/v1", nil, []string{accept, `If-None-Match: "` + img.Digest.String() + `"`}},
		{"index", "GET", "/v2/team/app/manifests/ix", nil, []string{accept}},
		{"docker", "GET", "/v2/team/app/manifests/docker", nil, []string{accept}},
		{"docker, no accept", "GET", "/v2/team/app/manifests/docker", nil, nil},
		{"oci, no accept", "GET", "/v2/team/app/manifests/v1", nil, nil},
		{"helm", "GET", "/v2/team/app/manifests/helm", nil, []string{accept}},
		{"no tag", "GET", "/v2/team/app/manifests/absent", nil, []string{accept}},
		{"no tag HEAD", "HEAD", "/v2/team/app/manifests/absent", nil, []string{accept}},
		{"no digest", "GET", "/v2/team/app/manifests/" + missing, nil, []string{accept}},
		{"no repository", "GET", "/v2/absent/manifests/v1", nil, []string{accept}},
		{"blob", "GET", "/v2/team/app/blobs/" + layer, nil, nil},
		{"blob HEAD", "HEAD", "/v2/team/app/blobs/" + layer, nil, nil},
		{"blob, range", "GET", "/v2/team/app/blobs/" + layer, nil, []string{"Range: bytes=100-"}},
		{"blob, range of an end", "GET", "/v2/team/app/blobs/" + layer, nil, []string{"Range: bytes=100-199"}},
		{"blob, range behind the end", "GET", "/v2/team/app/blobs/" + layer, nil, []string{"Range: bytes=4000-"}},
		{"empty blob", "GET", "/v2/team/app/blobs/" + img.Blobs[2].Digest.String(), nil, nil},
		{"no blob", "GET", "/v2/team/app/blobs/" + missing, nil, nil},
		{"no blob HEAD", "HEAD", "/v2/team/app/blobs/" + missing, nil, nil},
		{"a blob of another repository", "GET", "/v2/other/blobs/" + docker.Blobs[0].Digest.String(), nil, nil},
		{"post", "POST", "/v2/team/app/blobs/uploads/", nil, nil},
		{"mount", "POST", "/v2/new/app/blobs/uploads/?mount=" + layer + "&from=other", nil, nil},
		{"mount from nowhere", "POST", "/v2/new/app/blobs/uploads/?mount=" + layer + "&from=absent", nil, nil},
		{"mount of nothing", "POST", "/v2/new/app/blobs/uploads/?mount=" + missing + "&from=other", nil, nil},
		{"mount without from", "POST", "/v2/new2/app/blobs/uploads/?mount=" + layer, nil, nil},
		{"put manifest", "PUT", "/v2/team/app/manifests/again", img.Raw, []string{"Content-Type: " + string(img.MediaType)}},
		{"put by digest", "PUT", "/v2/team/app/manifests/" + img.Digest.String(), img.Raw, []string{"Content-Type: " + string(img.MediaType)}},
		{"put by another digest", "PUT", "/v2/team/app/manifests/" + missing, img.Raw, []string{"Content-Type: " + string(img.MediaType)}},
		{"put, layer missing", "PUT", "/v2/team/app/manifests/x", lacking.Raw, []string{"Content-Type: " + string(img.MediaType)}},
		{"put, child missing", "PUT", "/v2/team/app/manifests/x", sparse.Raw, []string{"Content-Type: " + string(sparse.MediaType)}},
		{"put, no JSON", "PUT", "/v2/team/app/manifests/x", []byte("{"), []string{"Content-Type: " + string(img.MediaType)}},
		{"put, other type", "PUT", "/v2/team/app/manifests/x", docker.Raw, []string{"Content-Type: " + string(img.MediaType)}},
		{"put, unknown type", "PUT", "/v2/team/app/manifests/x", img.Raw, []string{"Content-Type: text/plain"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := summary(ours.do(tt.method, tt.path, tt.body, tt.headers...), ours.s.URL())
			want := summary(theirs.do(tt.method, tt.path, tt.body, tt.headers...), srv.URL)
			if got != want {
				t.Errorf("%s %s\nours\n%s\ndistribution's\n%s", tt.method, tt.path, got, want)
			}
		})
	}
}

var random = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|_state=[^&]*`)

// summary writes down what of an answer has to be the same: status, the headers
// that clients look at, the body; of an error its codes alone.
func summary(a answer, base string) string {
	var b strings.Builder
	fmt.Fprintln(&b, a.status, a.err)
	for _, name := range []string{"Content-Length", "Content-Range", "Content-Type", "Docker-Content-Digest",
		"Docker-Distribution-Api-Version", "Etag", "Link", "Location", "Range"} {
		value := strings.TrimPrefix(a.header.Get(name), base)
		if name == "Link" {
			value = sortedQuery(value)
		}
		if a.status >= 400 && (name == "Content-Length" || name == "Content-Type") {
			continue
		}
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, random.ReplaceAllString(value, "…"))
		}
	}
	fmt.Fprint(&b, codes(a))
	return b.String()
}

func sortedQuery(link string) string {
	target, rest, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	u, err := url.Parse(target)
	if err != nil {
		return link
	}
	u.RawQuery = u.Query().Encode()
	return u.String() + rest
}

func codes(a answer) string {
	if a.status < 400 {
		return string(a.body)
	}
	var e struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	if json.Unmarshal(a.body, &e) != nil {
		return "no envelope"
	}
	var list []string
	for _, one := range e.Errors {
		if !slices.Contains(list, one.Code) {
			list = append(list, one.Code)
		}
	}
	return strings.Join(list, " ")
}
