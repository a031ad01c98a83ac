package main

import (
	"context"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"
)

// A stock is the files of this machine that layers are made of: those of the Go
// installation and, for what it lacks, pieces of this program.
type stock struct {
	name string // for people
	tree fs.FS  // nil: there is no Go installation
	self string // path of this program
}

// openStock finds the Go installation. It never fails: with none, layers are
// made of this program alone.
func openStock(ctx context.Context) stock {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	s := stock{name: "this program's own bytes", self: self}
	if root := goroot(ctx); root != "" {
		s.name, s.tree = root, os.DirFS(root)
	}
	return s
}

// goroot is the folder of the Go installation, "" if there is none with sources.
func goroot(ctx context.Context) string {
	root := os.Getenv("GOROOT")
	if root == "" {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err != nil {
			return ""
		}
		root = strings.TrimSpace(string(out))
	}
	if _, err := os.Stat(path.Join(root, "src", "fmt")); err != nil {
		return ""
	}
	return root
}

// A recipe says which files make a layer.
type recipe struct {
	name  string
	below []string          // folders or files of the Go installation
	take  func(string) bool // by path; nil takes all
	part  int               // which piece of this program takes their place where there are none
}

// A member is one file of a layer.
type member struct {
	name string
	size int64
	mode fs.FileMode
	open func() (io.ReadCloser, error)
}

// pick returns the files of r that are there, sorted by name, and pieces of this
// program if there are none.
func (s stock) pick(r recipe) ([]member, error) {
	var found []member
	for _, dir := range r.below {
		if s.tree != nil {
			found = append(found, s.walk(dir, r.take)...)
		}
	}
	if len(found) == 0 {
		return s.pieces(r)
	}
	slices.SortFunc(found, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return slices.CompactFunc(found, func(a, b member) bool { return a.name == b.name }), nil
}

// walk lists the plain files below dir. What cannot be read is left out: an
// installation may be trimmed, or closed to us in parts.
func (s stock) walk(dir string, take func(string) bool) []member {
	var found []member
	_ = fs.WalkDir(s.tree, dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && d != nil && d.IsDir():
			return fs.SkipDir
		case err != nil:
			return nil
		case d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case !d.Type().IsRegular() || take != nil && !take(name):
			return nil
		}
		if info, err := d.Info(); err == nil {
			found = append(found, member{
				name: "usr/local/go/" + name, size: info.Size(), mode: 0o644 | info.Mode().Perm()&0o111,
				open: func() (io.ReadCloser, error) { return s.tree.Open(name) },
			})
		}
		return nil
	})
	return found
}

// pieceBytes is how much of this program one layer gets.
const pieceBytes = 1 << 20

// pieces returns r's piece of this program.
func (s stock) pieces(r recipe) ([]member, error) {
	info, err := os.Stat(s.self)
	if err != nil {
		return nil, err
	}
	size := min(pieceBytes, info.Size())
	from := int64(r.part) * size % max(1, info.Size()-size+1)
	return []member{{name: "opt/demo/" + r.name, size: size, mode: 0o644, open: func() (io.ReadCloser, error) {
		f, err := os.Open(s.self)
		if err != nil {
			return nil, err
		}
		return section{io.NewSectionReader(f, from, size), f}, nil
	}}}, nil
}

// A section is a part of a file that closes the whole of it.
type section struct {
	io.Reader
	io.Closer
}

// source reports whether name is a Go or assembly file for every platform, and
// no test.
func source(name string) bool {
	if strings.HasSuffix(name, "_test.go") || !strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, ".s") && !strings.HasSuffix(name, ".h") {
		return false
	}
	return !sourceFor("amd64")(name) && !sourceFor("arm64")(name)
}

// sourceFor reports whether name is a file for one architecture.
func sourceFor(arch string) func(string) bool {
	return func(name string) bool {
		base := strings.TrimSuffix(path.Base(name), path.Ext(name))
		return strings.HasSuffix(base, "_"+arch)
	}
}
