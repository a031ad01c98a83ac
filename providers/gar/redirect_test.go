package gar

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestStays: an API that leads elsewhere is not followed there, as each request
// would be signed for that host too (I7).
func TestStays(t *testing.T) {
	var led atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { led.Store(true) }))
	defer elsewhere.Close()
	front := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer front.Close()
	s := serve(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("base"))
	r := open(t, s, func(o *Options) { o.Endpoints.API = front.URL })
	if _, err := trial.Collect(r.Repositories(t.Context(), "acme/")); err == nil {
		t.Error("a redirect is taken for a list")
	}
	if led.Load() {
		t.Error("a signed request went to another host")
	}
}
