package layout

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path"

	"github.com/transship/transship/providers"
)

// Whoami is the user of this process: a disk asks nobody else.
func (r *Registry) Whoami(ctx context.Context) (providers.Identity, error) {
	if err := context.Cause(ctx); err != nil {
		return providers.Identity{}, err
	}
	who := providers.Identity{Name: "the user of this process", From: "the operating system"}
	if u, err := user.Current(); err == nil && u.Username != "" {
		who.Name = u.Username
	}
	return who, nil
}

// Expect does nothing: folders share nothing.
func (r *Registry) Expect(...string) {}

// TryPush makes a file where the repository's would be, and takes it away again.
// Where the repository is yet to be made, it tries the folder that it would be in.
func (r *Registry) TryPush(ctx context.Context, name string) error {
	const op = "try to push"
	if err := context.Cause(ctx); err != nil {
		return err
	}
	p, err := r.repo(op, name)
	if err != nil {
		return err
	}
	file := path.Join(r.nearest(p.path(blobsDir, "sha256")), tempPrefix+random())
	f, err := r.root.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err == nil {
		err = errors.Join(f.Close(), r.root.Remove(file))
	}
	if err != nil {
		return r.fail(op, name, "", kindOf(err), cause(err), "")
	}
	return nil
}

// nearest is dir, or the folder above it that is there.
func (r *Registry) nearest(dir string) string {
	for dir != "." {
		if _, err := r.root.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			return dir
		}
		dir = path.Dir(dir)
	}
	return dir
}
