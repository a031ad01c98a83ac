package plane

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"testing"

	"github.com/transship/transship/providers/registrytest"
)

func TestServe(t *testing.T) {
	a, err := Serve(registrytest.New(t, registrytest.Options{}), func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	resp, err := http.Get(a.URL() + "/there")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "/there" {
		t.Errorf("answered %q, %v", body, err)
	}
	a.Close()
	a.Close()
	if resp, err := http.Get(a.URL()); err == nil {
		resp.Body.Close()
		t.Error("a closed API answers")
	}
}

func TestCalls(t *testing.T) {
	var c Calls[string]
	c.Fail(2, "list", "one")
	c.Fail(0, "list", "never")
	c.Fail(1, "list", "two")
	var got []string
	for range 4 {
		f := c.Called("list")
		if f == nil {
			f = new(string)
		}
		got = append(got, *f)
	}
	if want := []string{"one", "one", "two", ""}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("faults %q, want %q", got, want)
	}
	c.Count("get")
	if f := c.Fault("get"); f != nil {
		t.Errorf("a call of another operation fails: %q", *f)
	}
	if got, want := c.Counts(), map[string]int64{"list": 4, "get": 1}; !maps.Equal(got, want) {
		t.Errorf("counts %v, want %v", got, want)
	}
	c.Reset()
	if got := c.Counts(); len(got) != 0 {
		t.Errorf("counts after a reset: %v", got)
	}
}
