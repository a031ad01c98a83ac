package registrytest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/transship/transship/providers/registrytest/content"
)

// withLayer starts a server that has one layer of 100,000 bytes in app.
func withLayer(t *testing.T, q Quirks) (*client, content.Blob, []byte) {
	t.Helper()
	s := New(t, Options{Quirks: q})
	layer := content.Layer("layer", 100_000)
	if err := s.Load("app", content.Image("x", []content.Blob{layer}), "v1"); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(io.NewSectionReader(layer.Content, 0, layer.Size))
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, s), layer, data
}

func TestBrokenBodies(t *testing.T) {
	const at = 70_000
	flipped := func(data []byte) []byte {
		data = bytes.Clone(data)
		data[at] ^= 1
		return data
	}
	first := func(data []byte) []byte { return data[:at] }
	all := func(data []byte) []byte { return data }
	for _, tt := range []struct {
		kind Break
		body func([]byte) []byte
		err  error
	}{
		{Reset, first, syscall.ECONNRESET},
		{Truncate, first, io.ErrUnexpectedEOF},
		{Short, first, nil},
		{Long, all, io.ErrUnexpectedEOF},
		{Flip, flipped, nil},
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			c, layer, data := withLayer(t, Quirks{})
			c.s.Next(1, BlobGet, Fault{Break: tt.kind, At: at})
			path := "/v2/app/blobs/" + layer.Digest.String()
			a := c.do("GET", path, nil)
			if !errors.Is(a.err, tt.err) || !bytes.Equal(a.body, tt.body(data)) {
				t.Errorf("got %d bytes and %v, want %d and %v", len(a.body), a.err, len(tt.body(data)), tt.err)
			}
			if n := c.s.Counts(); n.BytesOut != int64(len(a.body)) {
				t.Errorf("counted %d bytes, %d arrived", n.BytesOut, len(a.body))
			}
			a = c.want(200, c.do("GET", path, nil))
			if !bytes.Equal(a.body, data) {
				t.Error("the second answer is broken too")
			}
		})
	}
}

// TestResetDeliversWhatItCounts: a reset throws away what is under way, so it
// waits until the client's side has all that was counted.
func TestResetDeliversWhatItCounts(t *testing.T) {
	c, _, _ := withLayer(t, Quirks{})
	layer := content.Layer("large", 12<<20)
	if err := c.s.LoadBlob("app", layer); err != nil {
		t.Fatal(err)
	}
	const at = 9 << 20
	c.s.Next(1, BlobGet, Fault{Break: Reset, At: at})
	a := c.do("GET", "/v2/app/blobs/"+layer.Digest.String(), nil)
	if n := c.s.Counts().BytesOut; len(a.body) != at || n != at {
		t.Errorf("%d bytes arrived and %d were counted, want %d", len(a.body), n, at)
	}
}

func TestBreaksAtTheStart(t *testing.T) {
	c, layer, _ := withLayer(t, Quirks{})
	path := "/v2/app/blobs/" + layer.Digest.String()
	for _, kind := range []Break{Reset, Truncate} {
		c.s.Next(1, BlobGet, Fault{Break: kind})
		if a := c.do("GET", path, nil); a.err == nil || len(a.body) > 0 {
			t.Errorf("%s at 0: %d bytes, %v", kind, len(a.body), a.err)
		}
	}
	c.s.Next(1, BlobGet, Fault{Break: LoseResponse})
	if a := c.do("HEAD", path, nil); a.err != nil {
		t.Error("a fault of GETs hit a HEAD")
	}
	c.http.CloseIdleConnections() // a lost answer on a used connection is asked for again by net/http
	if a := c.do("GET", path, nil); a.err == nil {
		t.Error("the answer was not lost")
	}
}

func TestStallGoesOnWhenReleased(t *testing.T) {
	c, layer, data := withLayer(t, Quirks{})
	c.s.Next(1, BlobGet, Fault{Break: Stall, At: 10})
	resp, err := c.http.Get(c.s.URL() + "/v2/app/blobs/" + layer.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	c.s.Release()
	rest, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(rest, data[10:]) {
		t.Errorf("%d bytes after the stall (%v), want %d", len(rest), err, len(data)-10)
	}
}

func TestCloseEndsStalls(t *testing.T) {
	c, layer, _ := withLayer(t, Quirks{})
	c.s.Next(1, BlobGet, Fault{Break: Stall, At: 10})
	resp, err := c.http.Get(c.s.URL() + "/v2/app/blobs/" + layer.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	c.s.Close()
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the body ended in order")
	}
}

func TestBrokenUploads(t *testing.T) {
	c, _, _ := withLayer(t, Quirks{})
	data := bytes.Repeat([]byte("0123456789"), 20_000)
	post := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
	c.s.Next(1, UploadPatch, Fault{Break: ResetUpload, At: 50_000})
	if a := c.do("PATCH", c.location(post, ""), data, "Content-Type: application/octet-stream"); a.err == nil {
		t.Fatalf("the upload was answered %d", a.status)
	}
	status := c.want(204, c.do("GET", c.location(post, ""), nil))
	if got := status.header.Get("Range"); got != "0-49999" {
		t.Errorf("the registry has %s, want 0-49999", got)
	}
	c.want(201, c.finish(status, data[50_000:], data[:50_000]))
	n := c.s.Counts()
	if n.BytesIn != int64(len(data)) || n.Digests[content.Hash(data).String()].BytesIn != int64(len(data)) {
		t.Errorf("counted %d bytes in, %d of the digest; %d were sent", n.BytesIn, n.Digests[content.Hash(data).String()].BytesIn, len(data))
	}
}

func TestLostAnswerOfAPut(t *testing.T) {
	c, _, _ := withLayer(t, Quirks{})
	post := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
	c.s.Next(1, UploadPut, Fault{Break: LoseResponse})
	data := []byte("data")
	if a := c.finish(post, data); a.err == nil {
		t.Fatalf("answered %d", a.status)
	}
	if !c.s.Has("app", content.Hash(data)) {
		t.Error("the blob is not there")
	}
}

func TestFaultAnswers(t *testing.T) {
	c, _, _ := withLayer(t, Quirks{})
	c.s.Next(2, Tags, Throttled("7"))
	for range 2 {
		a := c.want(429, c.do("GET", "/v2/app/tags/list", nil))
		if a.header.Get("Retry-After") != "7" || codes(a) != "TOOMANYREQUESTS" {
			t.Errorf("answered %v %s", a.header, a.body)
		}
	}
	c.want(200, c.do("GET", "/v2/app/tags/list", nil))
	c.s.Next(1, Tags, Fault{HTML: "<html>sign in</html>"})
	a := c.want(200, c.do("GET", "/v2/app/tags/list", nil))
	if a.header.Get("Content-Type") != "text/html" {
		t.Errorf("a page came as %s", a.header.Get("Content-Type"))
	}
	if n := c.s.Counts(); n.Errors[Tags] != 2 || n.Requests[Tags] != 4 {
		t.Errorf("counts are wrong:\n%s", n)
	}
}

func TestBeforeAndOnRequest(t *testing.T) {
	c, _, _ := withLayer(t, Quirks{})
	c.s.Before(func(r *http.Request, class Class) *Fault {
		if class == Tags && strings.Contains(r.URL.Path, "app") {
			f := Unavailable("")
			return &f
		}
		return nil
	})
	var at []Class
	c.s.OnRequest(2, func() { at = append(at, c.s.Log()[1].Class) })
	c.want(200, c.do("GET", "/v2/", nil))
	c.want(503, c.do("GET", "/v2/app/tags/list", nil))
	c.s.Before(nil)
	c.want(200, c.do("GET", "/v2/app/tags/list", nil))
	if !slices.Equal(at, []Class{Tags}) {
		t.Errorf("the second request was seen as %v", at)
	}
}

// TestRatesDependOnTheSeed asks the same in another order and wants the same
// requests to fail, and others with another seed.
func TestRatesDependOnTheSeed(t *testing.T) {
	fails := func(seed uint64, backwards bool) string {
		c, _, _ := withLayer(t, Quirks{Seed: seed, Faults: []Rule{{Classes: []Class{ManifestHead}, Rate: 0.3, Fault: Unavailable("")}}})
		paths := make([]string, 40)
		for i := range paths {
			paths[i] = fmt.Sprintf("/v2/app/manifests/t%02d", i%20)
		}
		if backwards {
			slices.Reverse(paths)
		}
		var failed []string
		for _, p := range paths {
			if c.do("HEAD", p, nil).status == 503 {
				failed = append(failed, p)
			}
		}
		slices.Sort(failed)
		return strings.Join(failed, " ")
	}
	one := fails(1, false)
	if n := len(strings.Fields(one)); n < 4 || n > 24 {
		t.Errorf("%d of 40 failed at a rate of 0.3", n)
	}
	if again := fails(1, true); again != one {
		t.Errorf("in another order other requests failed:\n%s\n%s", one, again)
	}
	if other := fails(2, false); other == one {
		t.Error("another seed changed nothing")
	}
}

func TestRuleBounds(t *testing.T) {
	c, _, _ := withLayer(t, Quirks{Faults: []Rule{{Repo: "app", Rate: 1, Max: 2, Fault: Unavailable("")}}})
	c.want(404, c.do("GET", "/v2/other/tags/list", nil))
	c.want(503, c.do("GET", "/v2/app/tags/list", nil))
	c.want(503, c.do("GET", "/v2/app/tags/list", nil))
	c.want(200, c.do("GET", "/v2/app/tags/list", nil))
}

func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pacer
		if d := p.wait(500, 1000); d != 500*time.Millisecond {
			t.Errorf("500 bytes at 1000/s wait %v", d)
		}
		if d := p.wait(1000, 1000); d != 1500*time.Millisecond {
			t.Errorf("1000 bytes behind them wait %v", d)
		}
		time.Sleep(10 * time.Second)
		if d := p.wait(1000, 1000); d != time.Second {
			t.Errorf("after a rest they wait %v", d)
		}
		if d := p.wait(1000, 0); d != 0 {
			t.Errorf("without a bound they wait %v", d)
		}
	})
}
