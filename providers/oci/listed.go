package oci

import (
	"encoding/json"
	"errors"
	"iter"
)

// ErrEndless is the error of an API's list whose pages go on beyond any bound, or
// come back to one that was there, and HintEndless is what to do about it.
var ErrEndless = errors.New("the list has no end")

const HintEndless = "look at what answers between here and the registry, and try again; until then copy single images by their names: transship copy"

// Listed reports whether a name in a list can be a repository's. One that cannot be is
// logged, and is to be left out.
func (r *Registry) Listed(repo string) bool { return r.listed("", repo, validRepo) }

// ListedTag is Listed for a tag of repo.
func (r *Registry) ListedTag(repo, tag string) bool { return r.listed(repo, tag, tagName.MatchString) }

func (r *Registry) listed(repo, name string, valid func(string) bool) bool {
	ok := valid(name)
	if !ok {
		r.log.Warn("a name in a list cannot be a name; it is left out", "host", r.Host(), "repo", repo, "name", sanitize(name))
	}
	return ok
}

// Decoded reads each of pages as a T, and ends with the error bad at one that is none.
func Decoded[T any](pages iter.Seq2[json.RawMessage, error], bad error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for raw, err := range pages {
			var page T
			if err == nil && json.Unmarshal(raw, &page) != nil {
				err = bad
			}
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}
