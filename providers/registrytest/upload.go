package registrytest

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// A session is an upload that has begun.
type session struct {
	repo     string
	started  time.Time
	touched  time.Time
	patches  int
	received int64
	first    string // the Range header after the first chunk
}

// uploads are those that have begun, by id. Safe for concurrent use.
type uploads struct {
	mu   sync.Mutex
	open map[string]*session
}

func newUploads() *uploads { return &uploads{open: map[string]*session{}} }

// with runs f on an upload, and reports whether there is one.
func (u *uploads) with(id string, f func(*session)) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	s, ok := u.open[id]
	if ok {
		f(s)
	}
	return ok
}

func (u *uploads) begin(id, repo string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open[id] = &session{repo: repo, started: time.Now(), touched: time.Now()}
}

func (u *uploads) end(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.open, id)
}

// serveUpload has distribution answer, within what the quirks allow, and changes
// its answer to theirs.
func (s *Server) serveUpload(x *exchange) {
	if x.class == Mount {
		if done := s.mount(x); done {
			return
		}
	}
	if x.upload != "" && (!s.admit(x) || s.emptyPut(x)) {
		return
	}
	w := &uploadWriter{exchange: x}
	defer w.account() // where the connection breaks, there is no answer
	s.backend.ServeHTTP(w, x.r)
}

// mount decides whether distribution is to be asked for a mount at all, and
// reports whether x has been answered here. A mount that is not to be becomes a
// POST that opens an upload.
func (s *Server) mount(x *exchange) bool {
	from := x.r.URL.Query().Get("from")
	_, has := s.backend.blob(from, x.digest)
	allowed := from != "" && !x.q.NoMount && !x.q.between(from, x.repo) && s.mayPull(x, from) && s.mayMount(x, from) &&
		(!x.q.HiddenLayers || s.store.named(from, x.digest))
	switch {
	case x.q.MountLies:
		x.Header().Set("Location", "/v2/"+x.repo+"/blobs/"+x.digest)
		x.Header().Set("Docker-Content-Digest", x.digest)
		x.WriteHeader(http.StatusCreated)
		return true
	case allowed && has:
		s.store.create(x.repo)
		return false
	case x.q.MountStatus != 0:
		refusal{x.q.MountStatus, "UNAUTHORIZED", "repository " + from + " not found", nil}.send(x)
		return true
	}
	x.r.URL.RawQuery = ""
	return false
}

// between reports whether mounts from one repository to the other are refused.
func (b *Blobs) between(from, to string) bool {
	for _, p := range b.NoMountBetween {
		if (p.From == "*" || p.From == from) && (p.To == "*" || p.To == to) {
			return true
		}
	}
	return false
}

// admit checks a request of an upload that has begun, and answers it if it is
// not to go on.
func (s *Server) admit(x *exchange) bool {
	gone, chunked := true, false
	var started time.Time
	s.uploads.with(x.upload, func(u *session) {
		now := time.Now()
		gone = x.q.Deadline > 0 && now.Sub(u.started) > x.q.Deadline ||
			x.q.Expiry > 0 && now.Sub(u.touched) > x.q.Expiry
		u.touched, started = now, u.started
		if x.class == UploadPatch {
			u.patches++
		}
		chunked = u.patches > 1
	})
	offset, _, _ := strings.Cut(x.r.Header.Get("Content-Range"), "-")
	switch {
	case gone:
		s.uploads.end(x.upload)
		uploadUnknown.send(x)
	case x.class == UploadStatus && x.q.NoStatus:
		uploadUnknown.send(x)
	case x.q.NoChunks && x.class == UploadPatch && (chunked || offset != "" && offset != "0"):
		refusal{405, "UNSUPPORTED", "chunked uploads are not supported", nil}.send(x)
	default:
		s.limit(x, started)
		return true
	}
	return false
}

// limit cuts the request off when the upload is older than it may be.
func (s *Server) limit(x *exchange, started time.Time) {
	if x.q.Deadline == 0 {
		return
	}
	_ = http.NewResponseController(x.ResponseWriter).SetReadDeadline(started.Add(x.q.Deadline))
	x.r.Body = deadlineBody{x.r.Body, x}
}

// A deadlineBody resets the connection when its upload's time is over.
type deadlineBody struct {
	io.ReadCloser
	x *exchange
}

func (b deadlineBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if os.IsTimeout(err) {
		b.x.s.uploads.end(b.x.upload)
		b.x.reset()
	}
	return n, err
}

// An uploadWriter changes distribution's answers to uploads into the quirks'.
type uploadWriter struct {
	*exchange
	wrote bool
}

// WriteHeader notes a new upload and rewrites Location, Range and status.
func (w *uploadWriter) WriteHeader(status int) {
	if w.wrote {
		return
	}
	w.account()
	h := w.Header()
	if id := h.Get("Docker-Upload-UUID"); id != "" && status == http.StatusAccepted && w.upload == "" {
		w.s.uploads.begin(id, w.repo)
	}
	if w.class == UploadPut && status == http.StatusCreated {
		w.commit()
	}
	if w.class == UploadDelete && status == http.StatusNoContent {
		w.s.uploads.end(w.upload)
	}
	w.staleRange()
	if l := h.Get("Location"); l != "" {
		h.Set("Location", w.location(l, status))
	}
	if status == http.StatusAccepted && w.class == UploadPatch && w.q.PatchCreated {
		status = http.StatusCreated
	}
	w.exchange.WriteHeader(status)
}

// account adds what the request brought to its upload, once.
func (w *uploadWriter) account() {
	if !w.wrote {
		w.wrote = true
		w.s.uploads.with(w.upload, func(u *session) { u.received += w.in })
	}
}

// commit ends the upload, before the client knows that it may go on.
func (w *uploadWriter) commit() {
	w.s.uploads.with(w.upload, func(u *session) { w.received = u.received })
	w.s.uploads.end(w.upload)
	w.s.store.create(w.repo)
}

func (w *uploadWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.exchange.Write(p)
}

func (w *uploadWriter) staleRange() {
	h := w.Header()
	if h.Get("Range") == "" || !w.q.StaleRange {
		return
	}
	w.s.uploads.with(w.upload, func(u *session) {
		if u.first == "" && u.patches > 0 {
			u.first = h.Get("Range")
		}
		if u.first != "" {
			h.Set("Range", u.first)
		}
	})
}

// location writes distribution's relative location as the quirks want it.
func (w *uploadWriter) location(relative string, status int) string {
	u, err := url.Parse(relative)
	if err != nil {
		return relative
	}
	path := u.RequestURI()
	uploading := status == http.StatusAccepted || status == http.StatusNoContent
	switch {
	case uploading && w.s.cloud.Locate != nil:
		return w.s.cloud.Locate(w.ask(), path)
	case uploading && w.q.UploadHost != "":
		return w.q.UploadHost + path
	case uploading && w.q.Location == OnStorage:
		return w.s.storage.url + path
	case w.q.Location == Relative:
		return path
	}
	return w.s.api.url + path
}
