package content

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Files returns a layer that unpacks: a gzipped tar of these files, in the order
// of their names, with fixed times and owners, so that equal files make an equal
// layer. All of it is held in memory.
func Files(from fs.FS, names []string) (Blob, error) {
	var buf bytes.Buffer
	zip := gzip.NewWriter(&buf)
	archive := tar.NewWriter(zip)
	names = slices.Clone(names)
	slices.Sort(names)
	for _, name := range names {
		if err := add(archive, from, name); err != nil {
			return Blob{}, fmt.Errorf("layer of files: %w", err)
		}
	}
	if err := archive.Close(); err != nil {
		return Blob{}, fmt.Errorf("layer of files: %w", err)
	}
	if err := zip.Close(); err != nil {
		return Blob{}, fmt.Errorf("layer of files: %w", err)
	}
	return Bytes(types.OCILayer, buf.Bytes()), nil
}

func add(archive *tar.Writer, from fs.FS, name string) error {
	f, err := from.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: name, Size: info.Size(), Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, f)
	return err
}
