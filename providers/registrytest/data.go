package registrytest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// A data is the bytes of one stored file. It only grows, and may be read while
// it is written: a read sees what was there when it began. Safe for concurrent use.
type data interface {
	io.ReaderAt
	io.Writer
	Size() int64
	drop() // gives the bytes up; those who read them may go on
}

func (d *driver) newData() data {
	if d.dir == "" {
		return &memory{}
	}
	return &disk{name: filepath.Join(d.dir, fmt.Sprintf("%08d", d.files.Add(1)))}
}

// chunk is the most that a memory allocates at once, in bytes.
const chunk = 1 << 20

// A memory keeps its bytes in chunks that are full except for the last, so that
// growing copies little.
type memory struct {
	mu     sync.RWMutex
	chunks [][]byte
	size   int64
}

func (m *memory) Size() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.size
}

func (m *memory) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	written := len(p)
	for len(p) > 0 {
		if last := len(m.chunks) - 1; last < 0 {
			m.chunks = append(m.chunks, nil) // grows as it is filled: most blobs are small
		} else if len(m.chunks[last]) >= chunk {
			m.chunks = append(m.chunks, make([]byte, 0, chunk))
		}
		last := &m.chunks[len(m.chunks)-1]
		n := min(len(p), chunk-len(*last))
		if free := cap(*last) - len(*last); free < n {
			*last = slices.Grow(*last, min(chunk, max(len(*last)+n, 4*len(*last)))-len(*last))
		}
		*last = append(*last, p[:n]...)
		p = p[n:]
		m.size += int64(n)
	}
	return written, nil
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	read := 0
	for read < len(p) && off < m.size {
		n := copy(p[read:], m.chunks[off/chunk][off%chunk:])
		read += n
		off += int64(n)
	}
	if read < len(p) {
		return read, io.EOF
	}
	return read, nil
}

func (m *memory) drop() {}

// small is up to how many bytes a disk needs no file: links are many, and a process
// has only so many descriptors.
const small = 4 << 10

// A disk keeps its bytes in a file, once they are more than a few, that is removed
// when it is dropped.
type disk struct {
	name string

	mu   sync.RWMutex
	few  []byte   // while there is no file
	f    *os.File // from then on
	size int64
}

func (d *disk) Size() int64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.size
}

func (d *disk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.f == nil && d.size+int64(len(p)) <= small {
		d.few = append(d.few, p...)
		d.size += int64(len(p))
		return len(p), nil
	}
	if err := d.create(); err != nil {
		return 0, err
	}
	n, err := d.f.WriteAt(p, d.size)
	d.size += int64(n)
	return n, err
}

// create moves what there is to a file. The lock is held.
func (d *disk) create() error {
	if d.f != nil {
		return nil
	}
	f, err := os.Create(d.name)
	if err != nil {
		return err
	}
	if _, err := f.Write(d.few); err != nil {
		f.Close()
		return err
	}
	d.f, d.few = f, nil
	return nil
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	d.mu.RLock()
	f, few := d.f, d.few
	d.mu.RUnlock()
	if f != nil {
		return f.ReadAt(p, off)
	}
	return bytes.NewReader(few).ReadAt(p, off)
}

// drop unlinks the file and leaves it open for those who read it.
func (d *disk) drop() {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.f != nil {
		_ = os.Remove(d.name)
	}
}

func (d *disk) close() {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.f != nil {
		_ = d.f.Close()
	}
}

// close closes every file below n.
func (n *node) close() {
	if f, ok := n.data.(*disk); ok {
		f.close()
	}
	for _, child := range n.children {
		child.close()
	}
}

func (d *driver) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.root.close()
}
