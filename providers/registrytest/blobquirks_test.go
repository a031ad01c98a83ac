package registrytest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest/content"
)

func TestMountQuirks(t *testing.T) {
	for _, tt := range []struct {
		name   string
		quirks Blobs
		status int
	}{
		{"mounts", Blobs{}, 201},
		{"no mount", Blobs{NoMount: true}, 202},
		{"not between these", Blobs{NoMountBetween: []Pair{{"app", "to"}}}, 202},
		{"not to anywhere", Blobs{NoMountBetween: []Pair{{"*", "to"}}}, 202},
		{"between others", Blobs{NoMountBetween: []Pair{{"to", "app"}}}, 201},
		{"refused by status", Blobs{NoMount: true, MountStatus: 401}, 401},
		{"lies", Blobs{MountLies: true}, 201},
		{"named layers are not hidden", Blobs{HiddenLayers: true}, 201},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, layer, _ := withLayer(t, Quirks{Blobs: tt.quirks})
			c.want(tt.status, c.do("POST", "/v2/to/blobs/uploads/?from=app&mount="+layer.Digest.String(), nil))
			if got, want := c.s.Has("to", layer.Digest), tt.status == 201 && !tt.quirks.MountLies; got != want {
				t.Errorf("the blob is there: %v, want %v", got, want)
			}
		})
	}
}

func TestHiddenLayers(t *testing.T) {
	c, _, _ := withLayer(t, Quirks{Blobs: Blobs{HiddenLayers: true}})
	img := content.Image("fresh", []content.Blob{content.Layer("fresh", 50)})
	path := "/v2/new/blobs/" + img.Blobs[1].Digest.String()
	for _, b := range img.Blobs {
		if err := c.s.LoadBlob("new", b); err != nil {
			t.Fatal(err)
		}
	}
	mount := "/v2/app/blobs/uploads/?from=new&mount=" + img.Blobs[1].Digest.String()
	c.want(200, c.do("HEAD", path, nil))
	c.want(404, c.do("GET", path, nil))
	c.want(202, c.do("POST", mount, nil))
	c.want(201, c.put("new", "v1", img))
	c.want(200, c.do("GET", path, nil))
	c.want(201, c.do("POST", mount, nil))
}

func TestRedirects(t *testing.T) {
	c, layer, data := withLayer(t, Quirks{Blobs: Blobs{Redirect: true}})
	path := "/v2/app/blobs/" + layer.Digest.String()
	c.want(200, c.do("HEAD", path, nil))
	to := c.want(307, c.do("GET", path, nil)).header.Get("Location")
	c.want(400, c.do("GET", to, nil, "Authorization: Bearer x"))
	c.want(403, c.do("GET", strings.Replace(to, "expires=1", "expires=2", 1), nil))
	a := c.want(206, c.do("GET", to, nil, "Range: bytes=99990-"))
	if !bytes.Equal(a.body, data[99990:]) {
		t.Error("the range differs")
	}
	c.s.Set(func(q *Quirks) { q.RedirectLife = time.Nanosecond })
	to = c.want(307, c.do("GET", path, nil)).header.Get("Location")
	c.want(403, c.do("GET", to, nil))
	c.s.Set(func(q *Quirks) { q.RedirectTo = "http://127.0.0.2:1" })
	to = c.want(307, c.do("GET", path, nil)).header.Get("Location")
	if !strings.HasPrefix(to, "http://127.0.0.2:1/") {
		t.Errorf("redirected to %s", to)
	}
	n := c.s.Counts()
	if n.Requests[Storage] != 4 || n.Requests[BlobGet] != 3 || n.BytesOut != 10 || n.Digests[layer.Digest.String()].Reads != 1 {
		t.Errorf("counts are wrong: %+v\n%s", n.Digests, n)
	}
}

func TestNoRange(t *testing.T) {
	c, layer, data := withLayer(t, Quirks{Blobs: Blobs{NoRange: true}})
	a := c.want(200, c.do("GET", "/v2/app/blobs/"+layer.Digest.String(), nil, "Range: bytes=5-"))
	if len(a.body) != len(data) {
		t.Errorf("%d bytes", len(a.body))
	}
}
