package web

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/transship/transship/state"
)

// described is the document, as a router of its own.
func described(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc, router
}

// TestDescription holds each answer against the document, and that each operation of
// it has been tried, and no answer is of a status that it does not have.
func TestDescription(t *testing.T) {
	doc, router := described(t)
	d := &desk{well: true}
	url := start(t, d, func(o *Options) { fill(t, o.State.(state.Store)) })
	tried := map[string]bool{}
	for _, tt := range []struct {
		method, path, bears, body string
		fail                      error
		want                      int
	}{
		{"GET", "/healthz", "", "", nil, 200},
		{"GET", "/readyz", "", "", nil, 200},
		{"GET", "/api/v1/openapi.yaml", "", "", nil, 200},
		{"GET", "/api/v1/proof?challenge=0123456789abcdef", "", "", nil, 200},
		{"GET", "/api/v1/proof?challenge=0", "", "", nil, 400},
		{"GET", "/api/v1/status?rule=apps&limit=3", "", "", nil, 200},
		{"GET", "/api/v1/status?limit=0", "", "", nil, 400},
		{"GET", "/api/v1/rules", "", "", nil, 200},
		{"GET", "/api/v1/rules", "", "", io.ErrUnexpectedEOF, 500},
		{"GET", "/api/v1/passes", "", "", nil, 200},
		{"GET", "/api/v1/queue", "", "", nil, 200},
		{"POST", "/api/v1/queue/cancel", token, `{"key":"run/a/b"}`, nil, 200},
		{"POST", "/api/v1/queue/cancel", token, `{"key":"run/nobody"}`, nil, 404},
		{"POST", "/api/v1/queue/cancel", token, `{}`, nil, 400},
		{"POST", "/api/v1/rules/apps/run", token, "", nil, 200},
		{"POST", "/api/v1/rules/apps/run", "", "", nil, 401},
		{"POST", "/api/v1/rules/apps/run", token, "", ErrNoRule, 404},
		{"POST", "/api/v1/rules/apps/pause", token, "", nil, 200},
		{"POST", "/api/v1/rules/apps/resume", token, "", nil, 200},
		{"POST", "/api/v1/policy/reload", token, "", nil, 200},
		{"POST", "/api/v1/policy/reload", token, "", io.ErrUnexpectedEOF, 422},
	} {
		d.fail = tt.fail
		req, err := http.NewRequestWithContext(t.Context(), tt.method, url+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		if tt.body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		if tt.bears != "" {
			req.Header.Set("Authorization", "Bearer "+tt.bears)
		}
		op := answered(t, router, req, tt.body, tt.want)
		tried[op] = true
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			if !tried[method+" "+path] {
				t.Errorf("%s %s is described and was not tried", method, path)
			}
		}
	}
	t.Logf("tried %s", slices.Sorted(maps.Keys(tried)))
}

// answered sends req and holds the answer against the document; it returns the
// operation by the document's path.
func answered(t *testing.T, router routers.Router, req *http.Request, body string, want int) string {
	t.Helper()
	route, params, err := router.FindRoute(req)
	if err != nil {
		t.Fatalf("%s %s is not described: %v", req.Method, req.URL.Path, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Errorf("%s %s: %d %s (%v), want %d", req.Method, req.URL.Path, resp.StatusCode, raw, err, want)
	}
	req.Body = io.NopCloser(strings.NewReader(body))
	asked := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	if err := openapi3filter.ValidateRequest(t.Context(), asked); (err == nil) != (want != http.StatusBadRequest) {
		t.Errorf("%s %s is answered %d, and the document says of the request: %v", req.Method, req.URL, want, err)
	}
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{RequestValidationInput: asked,
		Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(raw)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true}})
	if err != nil {
		t.Errorf("%s %s: the answer is not as described: %v", req.Method, req.URL.Path, err)
	}
	return req.Method + " " + route.Path
}

// fill gives the state everything that an answer can hold.
func fill(t *testing.T, s state.Store) {
	t.Helper()
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	standing := state.Standing{Rule: "apps", Source: state.Repo{Host: "s", Name: "a"}, Target: state.Repo{Host: "t", Name: "a"}, Surveyed: at, Pending: at}
	for _, err := range []error{
		s.SetStanding(t.Context(), standing, []state.Item{{Tag: "v1", Kind: "failed", Reason: "because", Hint: "do"}}),
		s.Ask(t.Context(), state.Ask{Key: "expand/apps", Hints: []string{"v1"}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	id, err := s.BeginPass(t.Context(), state.Pass{Rule: "apps", Started: at})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.EndPass(t.Context(), state.Pass{ID: id, Ended: at, Outcome: state.Partly, Error: "one failed", Figures: everyFigure()}); err != nil {
		t.Fatal(err)
	}
}

// everyFigure has each figure, also those that are left out when they are zero.
func everyFigure() (f state.Figures) {
	v := reflect.ValueOf(&f).Elem()
	for i := range v.NumField() {
		v.Field(i).SetInt(int64(i + 1))
	}
	return f
}
