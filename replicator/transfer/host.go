package transfer

import (
	"context"
	"maps"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

const (
	learnedFor = 7 * 24 * time.Hour // what trying has told of a host is tried again after this
	refusedFor = 24 * time.Hour
	// sessionLife is the age at which an open upload is not worth asking for: the
	// registries that tell keep one for a week at most.
	sessionLife = 7 * 24 * time.Hour
	enough      = 5       // different refused pairs, with no success, make a host mountless
	mostFacts   = 200_000 // per host; beyond, those of earlier images are dropped (state has them)
)

// A spot is content in a repository of one host.
type spot struct {
	repo   string
	digest v1.Hash
}

// A pair is a mount's two repositories.
type pair struct{ from, to string }

// A host is what is in flight at one registry, and what this process has seen
// there. Shared by all runs.
type host struct {
	name    string
	slots   chan struct{} // images side by side
	streams chan struct{} // one upload past the spool at a time: see stream.go
	trips   *trips
	asking  chan struct{} // one question at a time whether it lists referrers

	mu       sync.Mutex
	held     map[spot]arrival     // seen to be there
	origin   map[v1.Hash]*landing // where a blob first arrived: the one repository to mount it from
	bringing map[spot]*flight     // blobs on their way to a repository
	sending  map[v1.Hash]*flight  // blobs on their way to the host
	putting  map[spot]*flight     // manifests being put by digest
	merging  map[spot]*flight     // fallback indexes being merged, by subject

	refused   map[pair]time.Time // until when
	misses    map[pair]bool      // refused in this process
	lied      map[spot]bool      // mounts that may have been said and not done
	mounted   bool               // a mount has worked
	mountless time.Time          // until when mounts are not tried
	uploads   map[spot]*providers.Session
	loaded    bool
	told      map[string]lesson // capabilities that this process has reported

	hides bool                 // layers that no manifest names
	alone map[string]time.Time // repositories, "" for all, from which nothing is read until then unless they are sources
}

func (t *Transfer) hostOf(reg providers.Registry) *host {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.hosts[reg.Host()]
	if h == nil {
		h = &host{
			name: reg.Host(), slots: make(chan struct{}, t.opts.Width), streams: make(chan struct{}, 1),
			asking: make(chan struct{}, 1),
			trips:  newTrips(reg.Host(), t.opts.Now),
			held:   map[spot]arrival{}, origin: map[v1.Hash]*landing{},
			bringing: map[spot]*flight{}, sending: map[v1.Hash]*flight{}, putting: map[spot]*flight{},
			merging: map[spot]*flight{}, refused: map[pair]time.Time{}, misses: map[pair]bool{}, lied: map[spot]bool{},
			uploads: map[spot]*providers.Session{}, told: map[string]lesson{}, alone: map[string]time.Time{},
		}
		t.hosts[reg.Host()] = h
	}
	return h
}

// learn takes over what state knows of the host, and returns its capabilities.
// State that fails to answer costs requests only.
func (h *host) learn(ctx context.Context, t *Transfer, reg providers.Registry) (providers.Caps, error) {
	caps, err := reg.Caps(ctx)
	if err != nil {
		return caps, err
	}
	now := t.opts.Now()
	learned, err := t.opts.State.Learned(ctx, h.name, now.Add(-learnedFor))
	t.warn("read capabilities", err)
	facts := map[string]providers.Tri{}
	for name, yes := range learned {
		facts[name] = tri(yes)
	}
	refusals, err := t.opts.State.Refusals(ctx, h.name, now)
	t.warn("read refused mounts", err)
	caps = caps.With(facts)
	h.mu.Lock()
	maps.DeleteFunc(h.refused, func(_ pair, until time.Time) bool { return !until.After(now) })
	for _, r := range refusals {
		h.refused[pair{r.From, r.To}] = r.Until
	}
	h.mounted = h.mounted || caps.Mount == providers.Yes
	h.hides = caps.MountNeedsManifest
	load := !h.loaded && caps.Chunks == providers.Yes
	h.loaded = h.loaded || load
	h.mu.Unlock()
	if load {
		h.loadUploads(ctx, t)
	}
	return caps, nil
}

// loadUploads takes over the sessions that an earlier process left open.
func (h *host) loadUploads(ctx context.Context, t *Transfer) {
	open, err := t.opts.State.Uploads(ctx, h.name)
	t.warn("read open uploads", err)
	for _, u := range open {
		if t.opts.Now().Sub(u.Started) > sessionLife {
			t.warn("drop open upload", t.opts.State.DropUpload(ctx, u.Repo, u.Digest))
			continue
		}
		h.mu.Lock()
		if at := (spot{u.Repo.Name, u.Digest}); h.uploads[at] == nil {
			h.uploads[at] = &providers.Session{Location: u.Location, Committed: u.Committed, Started: u.Started}
		}
		h.mu.Unlock()
	}
}

func tri(yes bool) providers.Tri {
	if yes {
		return providers.Yes
	}
	return providers.No
}

// warn logs a failure of state: nothing depends on it but speed.
func (t *Transfer) warn(what string, err error) {
	if err != nil {
		t.opts.Logger.Warn("state: "+what, "err", err)
	}
}

// An arrival is how and when content came to a repository.
type arrival struct {
	how plan.Have
	at  time.Time
}

// holds reports whether digest is known to be in w's repository, by a caller that
// holds mu: it was seen there since the plan's survey. What came before that is in
// the plan; if it is not, it has gone since.
func (h *host) holds(w *work, digest v1.Hash) bool {
	a, seen := h.held[spot{w.to.repo, digest}]
	return seen && !a.at.Before(w.plan.At)
}

// putSince reports whether this process has put the manifest there since then.
func (h *host) putSince(at spot, then time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, seen := h.held[at]
	return seen && a.how == plan.Upload && !a.at.Before(then)
}

// suspect notes which of blobs came to repo by a mount, after a manifest there was
// refused for something that is missing: a host may have said that it mounted one
// and not done it. They are not mounted there again.
func (h *host) suspect(repo string, blobs []plan.Blob) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.lied) > mostFacts {
		clear(h.lied)
	}
	for _, b := range blobs {
		if at := (spot{repo, b.Digest}); h.held[at].how == plan.Mount {
			h.lied[at] = true
		}
	}
}

// mountedAt reports whether content is believed to be at a spot because of a mount.
func (h *host) mountedAt(at spot) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held[at].how == plan.Mount
}

// distrust has no mount to at believed any more.
func (h *host) distrust(at spot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lied[at] = true
}

// lies reports whether a mount to at is not to be believed.
func (h *host) lies(at spot) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lied[at]
}

// A landing is where a blob first arrived in this process, and by whom.
type landing struct {
	repo  string
	by    *work
	at    time.Time
	named bool          // a manifest that names it has been put
	open  chan struct{} // closed when named, or when by has come to its end
	shut  bool
}

// landed records that digest is in w's repository, and how it came there.
func (h *host) landed(w *work, digest v1.Hash, how plan.Have) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.held) > mostFacts {
		clear(h.held)
	}
	now := w.t.opts.Now()
	h.held[spot{w.to.repo, digest}] = arrival{how, now}
	if h.origin[digest] != nil {
		return
	}
	if len(h.origin) > mostFacts {
		for d, l := range h.origin {
			if l.shut {
				delete(h.origin, d)
			}
		}
	}
	h.origin[digest] = &landing{repo: w.to.repo, by: w, at: now, open: make(chan struct{})}
	w.mine = append(w.mine, digest)
}

// foreign records that another process has brought digest to repo, from where it can
// be mounted. That it can is believed, not seen.
func (h *host) foreign(repo string, digest v1.Hash) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.origin[digest] != nil {
		return
	}
	l := &landing{repo: repo, named: true, open: make(chan struct{})}
	l.close()
	h.origin[digest] = l
}

// named records that a manifest in repo names digests: from now on they can be
// mounted everywhere.
func (h *host) named(repo string, digests []v1.Hash) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range digests {
		if l := h.origin[d]; l != nil && l.repo == repo {
			l.named = true
			l.close()
		}
	}
}

// leave ends the waiting for w, which has come to its end.
func (h *host) leave(w *work) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range w.mine {
		if l := h.origin[d]; l != nil && l.by == w {
			l.close()
			l.by = nil
		}
	}
}

func (l *landing) close() {
	if !l.shut {
		l.shut = true
		close(l.open)
	}
}

// from returns where digest may be mounted from, nil if this process does not know.
func (h *host) from(digest v1.Hash, repo string) *landing {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.elsewhere(digest, repo)
}

// elsewhere is from for a caller that holds mu.
func (h *host) elsewhere(digest v1.Hash, repo string) *landing {
	if l := h.origin[digest]; l != nil && l.repo != repo {
		return l
	}
	return nil
}

// forget drops the belief that repo holds digests, here and in state.
func (h *host) forget(ctx context.Context, t *Transfer, repo string, digests ...v1.Hash) {
	h.mu.Lock()
	for _, d := range digests {
		delete(h.held, spot{repo, d})
		if l := h.origin[d]; l != nil && l.repo == repo {
			l.close()
			delete(h.origin, d)
		}
	}
	h.mu.Unlock()
	t.warn("forget content", t.opts.State.Forget(ctx, state.Repo{Host: h.name, Name: repo}, digests))
}
