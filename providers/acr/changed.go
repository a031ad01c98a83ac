package acr

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

const opChanged = "list changes"

// A changedRow is a row of a list, or why it has none, and when it was changed.
type changedRow struct {
	row providers.Row
	ok  bool
	at  time.Time
}

// Changed reads a list that is ordered by the time of the last change, newest first,
// as far as since: most often that is one call. ACR keeps the times of tags apart
// from those of manifests.
func (r *Registry) Changed(ctx context.Context, repo string, what providers.Changing, since time.Time) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		for page, err := range r.newest(ctx, repo, what) {
			if err == nil {
				err = r.ordered(repo, page)
			}
			if err != nil {
				yield(providers.Row{}, err)
				return
			}
			for i, c := range page {
				if i > 0 && c.at.Before(since) {
					return
				}
				if c.ok && !yield(c.row, nil) {
					return
				}
			}
			if n := len(page); n > 0 && page[n-1].at.Before(since) {
				return
			}
		}
	}
}

// ordered refuses a page that is not in the order that was asked for: one of a
// registry that does not know the order may end before what has changed. From page
// to page the order may break, as what is changed meanwhile moves to the first.
func (r *Registry) ordered(repo string, page []changedRow) error {
	for i := 1; i < len(page); i++ {
		if page[i].at.After(page[i-1].at) {
			return r.fail(opChanged, repo, providers.Unsupported, errors.New("the registry does not list what was changed last first"), "")
		}
	}
	return nil
}

func (r *Registry) newest(ctx context.Context, repo string, what providers.Changing) iter.Seq2[[]changedRow, error] {
	list, read := "_tags", r.changedTags
	if what == providers.ChangedManifests {
		list, read = "_manifests", r.changedManifests
	}
	q := r.metadata(repo, list, providers.OpTags)
	q.Op = opChanged
	q.Values.Set("orderby", "timedesc")
	return func(yield func([]changedRow, error) bool) {
		for raw, err := range r.Pages(ctx, q) {
			var rows []changedRow
			if err == nil {
				rows, err = read(repo, raw)
			}
			if !yield(rows, err) || err != nil {
				return
			}
		}
	}
}

func (r *Registry) changedTags(repo string, raw []byte) (rows []changedRow, err error) {
	var page struct{ Tags []tagRow }
	if json.Unmarshal(raw, &page) != nil {
		return nil, r.noList(opChanged, repo)
	}
	for _, t := range page.Tags {
		row, ok := r.rowOfTag(repo, t)
		rows = append(rows, changedRow{row, ok, t.Updated})
	}
	return rows, nil
}

func (r *Registry) changedManifests(repo string, raw []byte) (rows []changedRow, err error) {
	var page struct{ Manifests []manifestRow }
	if json.Unmarshal(raw, &page) != nil {
		return nil, r.noList(opChanged, repo)
	}
	for _, m := range page.Manifests {
		row, ok := r.rowOf(repo, m)
		rows = append(rows, changedRow{row, ok, m.Updated})
	}
	return rows, nil
}

// A tagRow is a tag in a list of the metadata API.
type tagRow struct {
	Name, Digest string
	Updated      time.Time `json:"lastUpdateTime"`
}

func (r *Registry) rowOfTag(repo string, t tagRow) (providers.Row, bool) {
	h, err := v1.NewHash(t.Digest)
	if err != nil {
		r.log.Warn("a tag in a list cannot be read; it is left out", "host", r.Host(), "repo", repo, "tag", clean(t.Name), "err", err)
		return providers.Row{}, false
	}
	return providers.Row{Digest: h, Tags: []string{t.Name}, Tagged: t.Updated, Changed: t.Updated}, true
}
