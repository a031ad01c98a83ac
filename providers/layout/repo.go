package layout

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	layoutFile = "oci-layout"
	indexFile  = "index.json"
	lockFile   = "index.json.lock"
	blobsDir   = "blobs"
	tempPrefix = ".transship-"
	tempLife   = 24 * time.Hour // older temporary files are a dead process's
)

// A repo is one layout. Its lock is for index.json and what is known of it.
type repo struct {
	r    *Registry
	name string
	dir  string // below the root

	mu    sync.Mutex
	stamp stamp            // of the index.json that index was read from
	index *index           // nil if it was not read yet; never changed
	nodes map[v1.Hash]node // what the manifests say, by digest
	made  bool
}

// A stamp tells one state of a file from another.
type stamp struct {
	size int64
	at   time.Time
}

func (p *repo) path(elem ...string) string { return path.Join(append([]string{p.dir}, elem...)...) }

func (p *repo) blob(d v1.Hash) string { return p.path(blobsDir, d.Algorithm, d.Hex) }

// create makes the layout's files where they are missing, and once in the
// process's life takes away what dead processes left.
func (p *repo) create() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made {
		return nil
	}
	if err := p.r.root.MkdirAll(p.path(blobsDir, "sha256"), 0o755); err != nil {
		return err
	}
	lock, err := p.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	for _, f := range []struct{ name, text string }{
		{indexFile, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`},
		{layoutFile, `{"imageLayoutVersion":"1.0.0"}`}, // last: it makes the folder a layout
	} {
		if _, err := p.r.root.Stat(p.path(f.name)); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := p.replace(f.name, []byte(f.text)); err != nil {
			return err
		}
	}
	p.made = true
	return p.clean()
}

// lock holds index.json against other processes until it is closed.
func (p *repo) lock() (io.Closer, error) {
	f, err := p.r.root.OpenFile(p.path(lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := flock(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", lockFile, err)
	}
	return f, nil
}

func (p *repo) clean() error {
	dir := p.path(blobsDir, "sha256")
	entries, err := fs.ReadDir(p.r.root.FS(), dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > tempLife {
			p.r.root.Remove(path.Join(dir, e.Name())) // somebody else's is no error
		}
	}
	return nil
}

// temp makes a temporary file on the disk of the layout's blobs.
func (p *repo) temp() (*os.File, string, error) {
	for {
		name := p.path(blobsDir, "sha256", tempPrefix+random())
		f, err := p.r.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if !errors.Is(err, fs.ErrExist) {
			return f, name, err
		}
	}
}

// replace writes a file of the layout as a whole: it has the old content or the
// new, whatever happens.
func (p *repo) replace(name string, content []byte) error {
	f, temp, err := p.temp()
	if err != nil {
		return err
	}
	defer p.r.root.Remove(temp) // gone after the rename
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = p.r.root.Rename(temp, p.path(name))
	}
	if err == nil {
		err = p.sync(".")
	}
	return err
}

// sync brings a folder's names to disk.
func (p *repo) sync(dir string) error {
	f, err := p.r.root.Open(p.path(dir))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	return nil
}

// open opens a regular file of the layout.
func (p *repo) open(name string) (*os.File, fs.FileInfo, error) {
	info, err := p.r.root.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is no regular file", path.Base(name))
	}
	f, err := p.r.root.Open(name)
	return f, info, err
}
