package layout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// A Registry is a folder of image layouts. It implements [providers.Registry].
type Registry struct {
	path   string
	root   *os.Root
	single string // the name of the one repository, where the root itself is a layout

	mu    sync.Mutex
	repos map[string]*repo
}

var _ providers.Registry = (*Registry)(nil)

// New opens the folder at path, which it makes if need be.
func New(folder string) (*Registry, error) {
	if folder != "" {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			r := &Registry{path: filepath.Clean(folder)}
			return nil, r.fail("open layout", "", "", kindOf(err), cause(err), "give a folder that can be made or written as path")
		}
	}
	return Open(folder)
}

// Open opens the folder at path, which has to be there.
func Open(folder string) (_ *Registry, err error) {
	r := &Registry{path: filepath.Clean(folder), repos: map[string]*repo{}}
	if folder == "" {
		return nil, r.fail("open layout", "", "", providers.Invalid, errors.New("it has no path"), "give the folder as path")
	}
	if r.root, err = os.OpenRoot(r.path); err != nil {
		return nil, r.fail("open layout", "", "", kindOf(err), cause(err), "give a folder that is there and can be read as path")
	}
	if _, err := r.root.Stat(layoutFile); err == nil {
		abs, err := filepath.Abs(r.path)
		if r.single = filepath.Base(abs); err != nil || !validRepo(r.single) {
			r.root.Close()
			return nil, r.fail("open layout", "", "", providers.Invalid,
				errors.New("the folder is a layout, and its name cannot be a repository's"), "rename it, or give its parent as path")
		}
	}
	return r, nil
}

// Host is the path that the layout was opened by.
func (r *Registry) Host() string { return r.path }

// Caps is what a disk can do. Uploads are not resumed: nothing is lost on the way.
func (r *Registry) Caps(context.Context) (providers.Caps, error) {
	return providers.Caps{Catalog: providers.Yes, BulkDigests: true, Mount: providers.Yes,
		Chunks: providers.No, Referrers: providers.Yes, SparseIndex: providers.No,
		Schema1: providers.No, Immutable: providers.No}, nil
}

// Close closes the folder.
func (r *Registry) Close() error { return r.root.Close() }

var repoName = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]*(/[a-zA-Z0-9_][a-zA-Z0-9._-]*)*$`)

// validRepo refuses names that are no repository's, and those that would lie
// inside another layout's own files.
func validRepo(name string) bool {
	if len(name) > 512 || !repoName.MatchString(name) {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == blobsDir || part == layoutFile || part == indexFile {
			return false
		}
	}
	return true
}

// repo returns the repository of that name, which need not exist.
func (r *Registry) repo(op, name string) (*repo, error) {
	if !validRepo(name) {
		return nil, r.fail(op, "", "", providers.Invalid, fmt.Errorf("%.100q cannot be a repository of a layout", name), "")
	}
	dir := name
	if r.single != "" {
		if name != r.single {
			return nil, r.fail(op, name, "", providers.NotFound,
				fmt.Errorf("the folder is one layout, repository %q", r.single), "give its parent as path to hold several")
		}
		dir = "."
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.repos[name] == nil {
		r.repos[name] = &repo{r: r, name: name, dir: dir, nodes: map[v1.Hash]node{}}
	}
	return r.repos[name], nil
}

// existing is repo where the repository has to be there.
func (r *Registry) existing(ctx context.Context, op, name string) (*repo, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	p, err := r.repo(op, name)
	if err != nil {
		return nil, err
	}
	if _, err := r.root.Stat(path.Join(p.dir, layoutFile)); err != nil {
		return nil, r.fail(op, name, "", kindOf(err), cause(err), "")
	}
	return p, nil
}

// Ensure makes the repository's layout.
func (r *Registry) Ensure(ctx context.Context, name string) error {
	_, err := r.ensured(ctx, "make repository", name)
	return err
}

func (r *Registry) ensured(ctx context.Context, op, name string) (*repo, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	p, err := r.repo(op, name)
	if err != nil {
		return nil, err
	}
	if err := p.create(); err != nil {
		return nil, r.fail(op, name, "", kindOf(err), cause(err), "")
	}
	return p, nil
}

// fail is an error about name and ref, as much of them as is known.
func (r *Registry) fail(op, name, ref string, kind providers.Kind, err error, hint string) error {
	at := r.path
	if name != "" {
		at += "/" + name
	}
	switch {
	case ref == "":
	case strings.Contains(ref, ":"):
		at += "@" + ref
	default:
		at += ":" + ref
	}
	if hint == "" {
		hint = hints[kind]
	}
	return &providers.Error{Kind: kind, Op: op, Ref: at, Hint: hint, Err: err}
}

var hints = map[providers.Kind]string{
	providers.NotFound: "check the folder and the name below it: is there an image layout?",
	providers.Denied:   "give this process the permission to read and write the folder",
	providers.Quota:    "free room on the disk",
}

// kindOf says what a failure of the file system means.
func kindOf(err error) providers.Kind {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return providers.NotFound
	case errors.Is(err, fs.ErrPermission) || readOnly(err):
		return providers.Denied
	case diskFull(err):
		return providers.Quota
	}
	return providers.Unavailable
}

// cause drops the operation and path that the message has already.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", path.Base(filepath.ToSlash(p.Path)), p.Err)
	}
	return err
}
