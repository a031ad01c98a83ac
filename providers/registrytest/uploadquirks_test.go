package registrytest

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

const octets = "Content-Type: application/octet-stream"

func TestUploadQuirks(t *testing.T) {
	t.Run("PATCH answers 201 and Range sticks", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Uploads: Uploads{PatchCreated: true, StaleRange: true}})
		a := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		a = c.want(201, c.do("PATCH", c.location(a, ""), []byte("hello"), octets))
		a = c.want(201, c.do("PATCH", c.location(a, ""), []byte("world"), octets, "Content-Range: 5-9"))
		if got := a.header.Get("Range"); got != "0-4" {
			t.Errorf("Range is %s, want that of the first chunk", got)
		}
		c.want(201, c.finish(a, nil, []byte("helloworld")))
	})
	t.Run("no chunks", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Uploads: Uploads{NoChunks: true}})
		a := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		a = c.want(202, c.do("PATCH", c.location(a, ""), []byte("hello"), octets))
		c.want(405, c.do("PATCH", c.location(a, ""), []byte("world"), octets))
		c.want(201, c.upload("app", []byte("hello")))
	})
	t.Run("locations", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{})
		for location, prefix := range map[Location]string{
			Absolute: c.s.URL() + "/v2/", Relative: "/v2/", OnStorage: "http://" + c.s.StorageHost() + "/v2/",
		} {
			c.s.Set(func(q *Quirks) { q.Location = location })
			a := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
			if got := a.header.Get("Location"); !strings.HasPrefix(got, prefix) {
				t.Errorf("%s: location %s", location, got)
			}
			data := []byte("to " + location)
			if location == OnStorage {
				c.want(400, c.do("PUT", c.location(a, ""), data, "Authorization: Bearer x"))
			}
			c.want(201, c.finish(a, data))
		}
		c.s.Set(func(q *Quirks) { q.UploadHost = "http://127.0.0.2:1" })
		a := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		if got := a.header.Get("Location"); !strings.HasPrefix(got, "http://127.0.0.2:1/v2/app/") {
			t.Errorf("location %s", got)
		}
	})
	t.Run("old locations stop working", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{})
		first := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		c.want(202, c.do("PATCH", c.location(first, ""), []byte("hello"), octets))
		c.want(416, c.do("PATCH", c.location(first, ""), []byte("world"), octets))
	})
	t.Run("uploads end", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{})
		a := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		c.s.Set(func(q *Quirks) { q.Expiry = time.Nanosecond })
		c.want(404, c.do("GET", c.location(a, ""), nil))
		c.s.Set(func(q *Quirks) { q.Expiry = 0 })
		c.want(404, c.finish(a, []byte("x")))
		a = c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		c.s.ForgetUploads()
		c.want(404, c.finish(a, []byte("x")))
	})
	t.Run("deadline", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Uploads: Uploads{Deadline: 500 * time.Millisecond}})
		c.s.Next(1, UploadPut, Fault{Break: StallUpload, At: 3, For: 600 * time.Millisecond})
		a := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		if a := c.finish(a, bytes.Repeat([]byte("x"), 1<<20)); a.err == nil {
			t.Errorf("an upload past its deadline was answered %d", a.status)
		}
		c.want(404, c.do("GET", c.location(a, ""), nil))
	})
	t.Run("no status", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Uploads: Uploads{NoStatus: true}})
		a := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		c.want(404, c.do("GET", c.location(a, ""), nil))
	})
}
