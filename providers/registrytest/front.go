package registrytest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// serve takes one request through the front: count it, hold it back, break it if
// it is its turn, ask who it is, and only then serve it.
func (s *Server) serve(name Side, w http.ResponseWriter, r *http.Request, handle func(*exchange)) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.served.Done()
	x := &exchange{ResponseWriter: w, s: s, q: s.quirks.Load(), r: r, side: name, began: time.Now(),
		conn: connOf(r.Context()), route: s.routeAt(name, r)}
	r.Body = body{r.Body, x}
	x.n = s.log.begin(x)
	s.counts.begin(x.class)
	defer func() {
		s.counts.ended(x)
		s.log.answered(x)
	}()
	s.fire(x.n)
	if s.hold(x) && s.fail(x) {
		handle(x)
		x.goOn()
	}
}

// enter notes a handler, unless the server is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
		return false
	default:
		s.served.Add(1)
		return true
	}
}

func (s *Server) routeAt(name Side, r *http.Request) route {
	var class Class
	if s.cloud.Route != nil && name == API {
		class = s.cloud.Route(r)
	}
	switch rt := routeOf(r); {
	case class != "":
		rt.class = class
		return rt
	case name == TokenService:
		return route{class: Token}
	case name == StorageHost && rt.upload == "":
		return route{class: Storage, repo: r.URL.Query().Get("repo"), digest: strings.TrimPrefix(r.URL.Path, storagePath)}
	case rt.class == UploadPut:
		rt.digest = r.URL.Query().Get("digest")
		return rt
	default:
		return rt
	}
}

// hold waits as the wire does, and reports whether the client is still there.
func (s *Server) hold(x *exchange) bool {
	wait := x.q.Latency
	if !x.conn.used.Swap(true) {
		wait += time.Duration(x.q.ConnectTrips) * x.q.Latency
	}
	if err := s.sleep(x.r.Context(), wait); err != nil {
		x.broken = true
		return false
	}
	return true
}

// fail applies the request's fault, and reports whether it is still to be served.
func (s *Server) fail(x *exchange) bool {
	f, ok := s.faultFor(x)
	if !ok {
		return true
	}
	if err := s.sleep(x.r.Context(), f.Delay); err != nil {
		x.broken = true
		return false
	}
	x.brk = Fault{Break: f.Break, At: f.At, For: f.For, Location: f.Location}
	switch {
	case f.Break == DripHeader:
		x.dripHeader()
	case f.Pretend && x.class.write():
		x.pretend()
	case f.Status != 0 || f.HTML != "" || f.JSON != "":
		f.answer(x)
	default:
		return true
	}
	x.fault = true
	return false
}

func (s *Server) faultFor(x *exchange) (Fault, bool) {
	if hook := s.before.Load(); hook != nil && *hook != nil {
		if f := (*hook)(x.r, x.class); f != nil {
			return *f, true
		}
	}
	return s.faults.pick(x.q, x.route, x.identity())
}

// identity names what a request asks for, the same in every run: an upload's id
// is random, and is not in it.
func (x *exchange) identity() string {
	if x.upload != "" || x.class == UploadPost || x.class == Mount {
		return x.repo + " " + x.digest
	}
	return x.r.URL.Path
}

// answer sends what the fault says instead of an answer.
func (f Fault) answer(w http.ResponseWriter) {
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	if f.Location != "" {
		w.Header().Set("Location", f.Location)
	}
	status := f.Status
	if status == 0 {
		status = http.StatusOK
	}
	switch {
	case f.HTML != "":
		w.Header().Set("Content-Type", "text/html")
		sendJSON(w, status, []byte(f.HTML))
		return
	case f.JSON != "":
		sendJSON(w, status, []byte(f.JSON))
		return
	}
	refusal{f.Status, f.Code, f.Message, nil}.send(w)
}

// serveAPI answers a request to the registry itself.
func (s *Server) serveAPI(x *exchange) {
	x.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if x.q.ClockSkew != 0 {
		x.Header().Set("Date", time.Now().Add(x.q.ClockSkew).UTC().Format(http.TimeFormat))
	}
	if x.class == Other && s.cloud.Serve != nil && s.cloud.Serve(x, x.ask()) {
		return
	}
	if !s.admitted(x) {
		return
	}
	if f, ok := s.authorize(x); !ok {
		f.send(x)
		return
	}
	if f, ok := s.permit(x); !ok {
		f.send(x)
		return
	}
	if !s.answered(x) {
		s.dispatch(x)
	}
}

func (s *Server) dispatch(x *exchange) {
	switch x.class {
	case Ping:
		sendJSON(x, http.StatusOK, []byte("{}"))
	case Catalog:
		s.listRepositories(x)
	case Tags:
		s.listTags(x)
	case ManifestHead, ManifestGet:
		s.getManifest(x)
	case ManifestPut:
		s.putManifest(x)
	case ManifestDelete:
		s.deleteManifest(x)
	case Referrers:
		s.listReferrers(x)
	case BlobHead, BlobGet:
		s.getBlob(x)
	case Storage:
		s.serveStored(x)
	case BlobDelete:
		s.backend.ServeHTTP(x, x.r)
	case Mount, UploadPost, UploadPatch, UploadPut, UploadStatus, UploadDelete:
		s.serveUpload(x)
	default:
		s.unknownRoute(x)
	}
}

func (s *Server) unknownRoute(x *exchange) {
	if x.repo != "" {
		unsupported.send(x)
		return
	}
	http.Error(x, "404 page not found", http.StatusNotFound)
}

// permit refuses what the limits do not allow.
func (s *Server) permit(x *exchange) (refusal, bool) {
	write := x.class.write()
	switch {
	case write && x.q.ReadOnly:
		return denied.because("the registry is read only"), false
	case x.q.Full && slices.Contains([]Class{UploadPost, UploadPatch, UploadPut, ManifestPut}, x.class):
		return refusal{403, "DENIED", "Quota exceeded: the registry's storage is full", nil}, false
	case x.repo != "" && x.q.MustExist != CreatedOnPush && !s.store.exists(x.repo):
		return x.q.MustExist.refuse(x.repo, write), false
	}
	return refusal{}, true
}

func (m MustExist) refuse(repo string, write bool) refusal {
	if m == MustExistAsECR {
		return refusal{404, "NAME_UNKNOWN", "The repository with name '" + repo +
			"' does not exist in the registry with id '123456789012'", nil}
	}
	permission := "downloadArtifacts"
	if write {
		permission = "uploadArtifacts"
	}
	return refusal{403, "DENIED", `Permission "artifactregistry.repositories.` + permission +
		`" denied on resource "projects/p/locations/l/repositories/` + repo + `" (or it may not exist)`, nil}
}
