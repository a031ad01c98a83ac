package main

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/transship/transship/providers/registrytest/content"
)

// A layer is a blob that unpacks, with what is known of what it unpacks to.
type layer struct {
	content.Blob
	diff  v1.Hash // of the tar
	files []string
}

// pack makes a layer of each recipe, by name, in files below dir, as many at a
// time as there are cores. Equal files make equal layers. The files are read for
// as long as the layers are used; done closes them.
func (s stock) pack(ctx context.Context, dir string, recipes []recipe) (layers map[string]layer, done func(), err error) {
	made := make([]layer, len(recipes))
	files := make([]*os.File, len(recipes))
	done = func() {
		for _, f := range files {
			if f != nil {
				_ = f.Close()
			}
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, r := range recipes {
		g.Go(func() (err error) {
			if files[i], err = os.Create(filepath.Join(dir, r.name+".tar.gz")); err != nil {
				return err
			}
			made[i], err = s.layer(ctx, files[i], r)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		done()
		return nil, nil, err
	}
	layers = map[string]layer{}
	for i, r := range recipes {
		layers[r.name] = made[i]
	}
	return layers, done, nil
}

// layer writes r's files into f.
func (s stock) layer(ctx context.Context, f *os.File, r recipe) (layer, error) {
	members, err := s.pick(r)
	if err != nil {
		return layer{}, fmt.Errorf("layer %s: %w", r.name, err)
	}
	packed, plain := sha256.New(), sha256.New()
	buffer := bufio.NewWriterSize(io.MultiWriter(f, packed), 1<<20)
	zip, err := gzip.NewWriterLevel(buffer, gzip.BestSpeed)
	if err != nil {
		return layer{}, err
	}
	if err := archive(ctx, io.MultiWriter(zip, plain), members); err != nil {
		return layer{}, fmt.Errorf("layer %s: %w", r.name, err)
	}
	if err := zip.Close(); err != nil {
		return layer{}, err
	}
	if err := buffer.Flush(); err != nil {
		return layer{}, fmt.Errorf("layer %s: %w", r.name, err)
	}
	size, err := f.Seek(0, io.SeekCurrent)
	desc := v1.Descriptor{MediaType: types.OCILayer, Size: size, Digest: digestOf(packed)}
	made := layer{Blob: content.Blob{Descriptor: desc, Content: f, Generated: true}, diff: digestOf(plain)}
	for _, m := range members {
		made.files = append(made.files, m.name)
	}
	return made, err
}

// archive writes a tar whose bytes depend on names and contents alone.
func archive(ctx context.Context, w io.Writer, members []member) error {
	t := tar.NewWriter(w)
	for _, m := range members {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		header := &tar.Header{Name: m.name, Size: m.size, Mode: int64(m.mode), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		if err := t.WriteHeader(header); err != nil {
			return err
		}
		if err := m.copy(t); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return t.Close()
}

func (m member) copy(w io.Writer) error {
	f, err := m.open()
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(w, f, m.size)
	return err
}

func digestOf(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}
