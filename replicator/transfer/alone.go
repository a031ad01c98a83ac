package transfer

import (
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

const (
	aloneFor  = time.Minute // a reader that has failed is not asked
	mostAlone = 10_000      // repositories of a host; beyond, the whole host is left alone
)

// leaveAlone has nothing read for a while where it is only believed to be and
// reading has failed: from the repository that denied it or gave wrong bytes, and
// otherwise from the whole host.
func (t *Transfer) leaveAlone(r reader, err error) {
	h, repo := t.hostOf(r.reg), ""
	switch providers.KindOf(err) {
	case providers.Denied, providers.Invalid, providers.Unsupported:
		repo = r.at.Repo
	}
	if wrongBytes(onSide(Source, err)) {
		repo = r.at.Repo
	}
	now := t.opts.Now()
	h.mu.Lock()
	if len(h.alone) >= mostAlone {
		clear(h.alone)
		repo = ""
	}
	news := !now.Before(h.alone[repo])
	h.alone[repo] = now.Add(aloneFor)
	h.mu.Unlock()
	if news {
		t.opts.Logger.Warn("cannot read here what is believed to be here; other registries and the source are read instead for a minute",
			"host", h.name, "repo", r.at.Repo, "err", err)
	}
}

// leftAlone reports whether nothing is read in repo for now, unless it is a source.
func (h *host) leftAlone(repo string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return now.Before(h.alone[""]) || now.Before(h.alone[repo])
}

// landedAt returns the repository of a host where this process has seen digest
// land and where it can be read, "" if there is none.
func (t *Transfer) landedAt(name string, digest v1.Hash) string {
	t.mu.Lock()
	h := t.hosts[name]
	t.mu.Unlock()
	if h == nil {
		return ""
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.elsewhere(digest, ""); l != nil && (l.named || !h.hides) {
		return l.repo
	}
	return ""
}
