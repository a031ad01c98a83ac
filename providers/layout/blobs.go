package layout

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// Stat returns the size of a blob.
func (r *Registry) Stat(ctx context.Context, name string, blob v1.Hash) (int64, error) {
	const op = "stat blob"
	p, err := r.existing(ctx, op, name)
	if err != nil {
		return 0, err
	}
	info, err := r.root.Stat(p.blob(blob))
	if err != nil {
		return 0, r.fail(op, name, blob.String(), kindOf(err), cause(err), "")
	}
	return info.Size(), nil
}

// Open returns a blob's bytes from offset on.
func (r *Registry) Open(ctx context.Context, name string, desc v1.Descriptor, offset int64) (io.ReadCloser, error) {
	const op = "get blob"
	p, err := r.existing(ctx, op, name)
	if err != nil {
		return nil, err
	}
	f, info, err := p.open(p.blob(desc.Digest))
	if err != nil {
		return nil, r.fail(op, name, desc.Digest.String(), kindOf(err), cause(err), "")
	}
	if desc.Size >= 0 && info.Size() != desc.Size {
		f.Close()
		return nil, r.fail(op, name, desc.Digest.String(), providers.Invalid,
			fmt.Errorf("the file has %d bytes, not %d", info.Size(), desc.Size), "restore the file from where the layout came from")
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		f.Close()
		return nil, r.fail(op, name, desc.Digest.String(), kindOf(err), cause(err), "")
	}
	return &file{ctx: ctx, File: f, fail: func(err error) error {
		return r.fail(op, name, desc.Digest.String(), kindOf(err), cause(err), "")
	}}, nil
}

// A file ends when its context does.
type file struct {
	ctx context.Context
	*os.File
	fail func(error) error
}

func (f *file) Read(b []byte) (int, error) {
	if err := context.Cause(f.ctx); err != nil {
		return 0, err
	}
	n, err := f.File.Read(b)
	if err != nil && err != io.EOF {
		err = f.fail(err)
	}
	return n, err
}

// Mount links the blob of another repository. Where the file system has no such
// links the mount is refused, which is no error.
func (r *Registry) Mount(ctx context.Context, name, from string, blob v1.Hash) (bool, *providers.Session, error) {
	const op = "mount blob"
	source, err := r.existing(ctx, op, from)
	if providers.KindOf(err) == providers.NotFound {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, err
	}
	p, err := r.ensured(ctx, op, name)
	if err != nil {
		return false, nil, err
	}
	if info, err := r.root.Lstat(source.blob(blob)); err != nil || !info.Mode().IsRegular() {
		return false, nil, nil
	}
	if err := r.root.MkdirAll(path.Dir(p.blob(blob)), 0o755); err != nil {
		return false, nil, r.fail(op, name, blob.String(), kindOf(err), cause(err), "")
	}
	return p.link(source.blob(blob), p.blob(blob)) == nil, nil, nil
}

// link gives the file at from the name to as well. A file that has that name
// gives it up, as it may be damaged.
func (p *repo) link(from, to string) error {
	err := p.r.root.Link(from, to)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	temp := path.Join(path.Dir(to), tempPrefix+random())
	if err := p.r.root.Link(from, temp); err != nil {
		return err
	}
	defer p.r.root.Remove(temp) // of two names of one file, rename leaves both
	return p.r.root.Rename(temp, to)
}

// Put writes a blob; it gets its name once its digest is proven. Where the blob
// is whole already, body is not read; a damaged one is replaced.
func (r *Registry) Put(ctx context.Context, name string, desc v1.Descriptor, body io.ReaderAt, _ providers.UploadOptions) (*providers.Session, error) {
	const op = "upload blob"
	p, err := r.ensured(ctx, op, name)
	if err != nil {
		return nil, err
	}
	if desc.Size < 0 {
		return nil, r.fail(op, name, desc.Digest.String(), providers.Invalid, errors.New("its size is not known"), "")
	}
	return nil, p.write(ctx, op, desc, io.NewSectionReader(body, 0, desc.Size))
}

func (p *repo) write(ctx context.Context, op string, desc v1.Descriptor, body io.Reader) error {
	target := p.blob(desc.Digest)
	sum, err := hasher(desc.Digest)
	if err != nil {
		return p.r.fail(op, p.name, desc.Digest.String(), providers.Unsupported, err, "")
	}
	if p.holds(ctx, desc) {
		return nil
	}
	f, temp, err := p.temp()
	if err != nil {
		return p.r.fail(op, p.name, desc.Digest.String(), kindOf(err), cause(err), "")
	}
	defer p.r.root.Remove(temp) // gone after the rename
	defer f.Close()
	in := &input{ctx: ctx, r: body}
	n, err := io.Copy(io.MultiWriter(f, sum), in)
	switch {
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case in.err != nil:
		return fmt.Errorf("%s %s/%s@%s: read its bytes: %w", op, p.r.path, p.name, desc.Digest, in.err)
	case err == nil && (n != desc.Size || hex.EncodeToString(sum.Sum(nil)) != desc.Digest.Hex):
		return p.r.fail(op, p.name, desc.Digest.String(), providers.Invalid,
			fmt.Errorf("its %d bytes do not have this digest and the size %d", n, desc.Size), "")
	case err == nil:
		err = p.commit(f, temp, target)
	}
	if err != nil {
		return p.r.fail(op, p.name, desc.Digest.String(), kindOf(err), cause(err), "")
	}
	return nil
}

// holds reports whether the blob is there and whole.
func (p *repo) holds(ctx context.Context, desc v1.Descriptor) bool {
	f, info, err := p.open(p.blob(desc.Digest))
	if err != nil {
		return false
	}
	defer f.Close()
	sum, err := hasher(desc.Digest)
	if err != nil || info.Size() != desc.Size {
		return false
	}
	_, err = io.Copy(sum, &input{ctx: ctx, r: f})
	return err == nil && hex.EncodeToString(sum.Sum(nil)) == desc.Digest.Hex
}

func (p *repo) commit(f *os.File, temp, target string) error {
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := p.r.root.MkdirAll(path.Dir(target), 0o755); err != nil {
		return err
	}
	return p.r.root.Rename(temp, target)
}

// input ends with its context, and tells an error of the source from one of the disk.
type input struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (in *input) Read(b []byte) (int, error) {
	if in.err = context.Cause(in.ctx); in.err != nil {
		return 0, in.err
	}
	n, err := in.r.Read(b)
	if err != nil && err != io.EOF {
		in.err = err
	}
	return n, err
}

func hasher(d v1.Hash) (hash.Hash, error) {
	switch d.Algorithm {
	case "sha256":
		return sha256.New(), nil
	case "sha512":
		return sha512.New(), nil
	}
	return nil, fmt.Errorf("digest algorithm %q is not known", d.Algorithm)
}

func random() string { return rand.Text() }
