package registrytest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

// A driver is the storage under distribution's handlers: a tree of names in
// memory, whose bytes are in memory, in files below dir, or made on the fly. It
// differs from distribution's own drivers in that others can look at it, damage
// it, and put a generated blob of any size in it. Safe for concurrent use.
type driver struct {
	dir   string // where bytes are kept; "" is memory
	files atomic.Int64

	mu   sync.RWMutex
	root *node
}

// A node is a directory, or with data a file.
type node struct {
	children map[string]*node
	data     data
	mod      time.Time
}

var _ storagedriver.StorageDriver = (*driver)(nil)

func newDriver(dir string) *driver {
	return &driver{dir: dir, root: &node{children: map[string]*node{}}}
}

// Name is what distribution prints in its errors.
func (d *driver) Name() string { return "registrytest" }

func (d *driver) find(name string) *node {
	n := d.root
	for part := range strings.SplitSeq(strings.Trim(name, "/"), "/") {
		if part == "" {
			continue
		}
		if n = n.children[part]; n == nil {
			return nil
		}
	}
	return n
}

// place returns the directory of name and its last element, making the way there.
func (d *driver) place(name string) (*node, string) {
	n := d.root
	dir, base := path.Split(strings.Trim(name, "/"))
	for part := range strings.SplitSeq(strings.Trim(dir, "/"), "/") {
		if part == "" {
			continue
		}
		next := n.children[part]
		if next == nil {
			next = &node{children: map[string]*node{}, mod: time.Now()}
			n.children[part] = next
		}
		n = next
	}
	return n, base
}

// set makes name the file with these bytes.
func (d *driver) set(name string, bytes data) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, base := d.place(name)
	if old := dir.children[base]; old != nil && old.data != nil {
		old.data.drop()
	}
	dir.children[base] = &node{data: bytes, mod: time.Now()}
}

// get returns the bytes of the file name.
func (d *driver) get(name string) (data, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := d.find(name)
	if n == nil || n.data == nil {
		return nil, false
	}
	return n.data, true
}

func (d *driver) missing(name string) error {
	return storagedriver.PathNotFoundError{Path: name, DriverName: d.Name()}
}

// GetContent returns all of a small file.
func (d *driver) GetContent(_ context.Context, name string) ([]byte, error) {
	content, ok := d.get(name)
	if !ok {
		return nil, d.missing(name)
	}
	return io.ReadAll(io.NewSectionReader(content, 0, content.Size()))
}

// PutContent writes a small file; those stay in memory.
func (d *driver) PutContent(_ context.Context, name string, content []byte) error {
	m := &memory{}
	d.set(name, m)
	_, err := m.Write(content)
	return err
}

// Reader reads a file from offset on.
func (d *driver) Reader(_ context.Context, name string, offset int64) (io.ReadCloser, error) {
	content, ok := d.get(name)
	if !ok {
		return nil, d.missing(name)
	}
	if offset < 0 {
		return nil, storagedriver.InvalidOffsetError{Path: name, Offset: offset, DriverName: d.Name()}
	}
	return io.NopCloser(io.NewSectionReader(content, offset, max(0, content.Size()-offset))), nil
}

// Writer writes a file, or goes on writing it.
func (d *driver) Writer(_ context.Context, name string, more bool) (storagedriver.FileWriter, error) {
	if content, ok := d.get(name); ok && more {
		return &writer{d: d, name: name, data: content}, nil
	}
	content := d.newData()
	d.set(name, content)
	return &writer{d: d, name: name, data: content}, nil
}

// Stat describes a file or a directory.
func (d *driver) Stat(_ context.Context, name string) (storagedriver.FileInfo, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := d.find(name)
	if n == nil {
		return nil, d.missing(name)
	}
	info := storagedriver.FileInfoFields{Path: name, ModTime: n.mod, IsDir: n.data == nil}
	if n.data != nil {
		info.Size = n.data.Size()
	}
	return storagedriver.FileInfoInternal{FileInfoFields: info}, nil
}

// List returns the full names of a directory's entries, sorted.
func (d *driver) List(_ context.Context, name string) ([]string, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := d.find(name)
	if n == nil || n.data != nil {
		return nil, d.missing(name)
	}
	names := make([]string, 0, len(n.children))
	for child := range n.children {
		names = append(names, path.Join("/", name, child))
	}
	slices.Sort(names)
	return names, nil
}

// Move renames a file or a directory.
func (d *driver) Move(_ context.Context, from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.find(from)
	if n == nil {
		return d.missing(from)
	}
	dir, base := d.place(from)
	delete(dir.children, base)
	dir, base = d.place(to)
	dir.children[base] = n
	return nil
}

// Delete removes name and everything below it.
func (d *driver) Delete(_ context.Context, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.find(name)
	if n == nil {
		return d.missing(name)
	}
	dir, base := d.place(name)
	delete(dir.children, base)
	n.drop()
	return nil
}

func (n *node) drop() {
	if n.data != nil {
		n.data.drop()
	}
	for _, child := range n.children {
		child.drop()
	}
}

// RedirectURL is the front's business, never the storage's.
func (d *driver) RedirectURL(*http.Request, string) (string, error) { return "", nil }

// Walk goes through the tree as distribution's own fallback does.
func (d *driver) Walk(ctx context.Context, name string, f storagedriver.WalkFn, opts ...func(*storagedriver.WalkOptions)) error {
	return storagedriver.WalkFallback(ctx, d, name, f, opts...)
}

// A writer appends to one file. What it wrote is there at once.
type writer struct {
	d    *driver
	name string
	data data
}

func (w *writer) Write(p []byte) (int, error)  { return w.data.Write(p) }
func (w *writer) Size() int64                  { return w.data.Size() }
func (w *writer) Close() error                 { return nil }
func (w *writer) Commit(context.Context) error { return nil }

func (w *writer) Cancel(ctx context.Context) error {
	if err := w.d.Delete(ctx, w.name); err != nil {
		return fmt.Errorf("cancel %s: %w", w.name, err)
	}
	return nil
}
