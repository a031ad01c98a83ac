package layout

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// Repositories walks the folder for layouts, in lexical order.
func (r *Registry) Repositories(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if r.single != "" {
			if strings.HasPrefix(r.single, prefix) {
				yield(r.single, context.Cause(ctx))
			}
			return
		}
		err := fs.WalkDir(r.root.FS(), ".", func(dir string, e fs.DirEntry, err error) error {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return r.visit(dir, e, err, prefix, yield)
		})
		switch {
		case err == nil || err == fs.SkipAll:
		case context.Cause(ctx) != nil:
			yield("", context.Cause(ctx))
		default:
			yield("", r.fail("list repositories", "", "", kindOf(err), cause(err), ""))
		}
	}
}

// visit yields dir if it is a repository, and keeps the walk out of blobs.
func (r *Registry) visit(dir string, e fs.DirEntry, err error, prefix string, yield func(string, error) bool) error {
	switch {
	case err != nil && dir == ".":
		return err
	case err != nil || !e.IsDir():
		return nil // a folder that is not ours to read is no repository of ours
	case dir == ".":
		return nil
	case !validRepo(dir):
		return fs.SkipDir
	}
	if _, err := r.root.Stat(path.Join(dir, layoutFile)); err != nil || !strings.HasPrefix(dir, prefix) {
		return nil
	}
	if !yield(dir, nil) {
		return fs.SkipAll
	}
	return nil
}

// Rows yields every manifest that index.json leads to, with its tags.
func (r *Registry) Rows(ctx context.Context, name string) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		const op = "list tags"
		p, err := r.existing(ctx, op, name)
		var ix *index
		if err == nil {
			ix, err = p.current(ctx, op)
		}
		var nodes []node
		if err == nil {
			nodes, err = p.all(ctx, ix)
		}
		if err != nil {
			yield(providers.Row{}, err)
			return
		}
		tags := ix.tags()
		for _, n := range nodes {
			row := providers.Row{Digest: n.desc.Digest, Tags: tags[n.desc.Digest],
				MediaType: n.desc.MediaType, ArtifactType: n.desc.ArtifactType, Subject: n.subject}
			if !yield(row, nil) {
				return
			}
		}
	}
}

// Import is Unsupported: a layout reads nothing by itself.
func (r *Registry) Import(_ context.Context, name string, _ providers.ImportSource) error {
	return r.fail("import", name, "", providers.Unsupported, errors.New("an image layout reads nothing by itself"), "")
}

// Changed is Unsupported: a layout keeps no times.
func (r *Registry) Changed(_ context.Context, name string, _ providers.Changing, _ time.Time) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		yield(providers.Row{}, r.fail("list changes", name, "", providers.Unsupported, errors.New("an image layout keeps no times"), ""))
	}
}

// tags returns the tags of each digest; a tag that is listed twice is the last one's.
func (ix *index) tags() map[v1.Hash][]string {
	tags := map[v1.Hash][]string{}
	last := map[string]v1.Hash{}
	for _, d := range ix.entries {
		if tag := tagOf(d); tag != "" {
			last[tag] = d.Digest
		}
	}
	for _, d := range ix.entries {
		if tag := tagOf(d); tag != "" && last[tag] == d.Digest {
			tags[d.Digest] = append(tags[d.Digest], tag)
			delete(last, tag)
		}
	}
	return tags
}
