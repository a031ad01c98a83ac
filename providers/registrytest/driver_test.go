package registrytest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

// TestDriver goes through what distribution does with its storage, in memory and
// in files, with writes that do not fit chunks.
func TestDriver(t *testing.T) {
	ctx := context.Background()
	data := bytes.Repeat([]byte("0123456789abc"), 200_000)
	for name, dir := range map[string]string{"memory": "", "files": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(dir)
			t.Cleanup(d.close)
			for start := 0; start < len(data); start += 700_001 {
				w, err := d.Writer(ctx, "/a/b/data", start > 0)
				if err != nil || w.Size() != int64(start) {
					t.Fatalf("writer at %d: size %d, %v", start, w.Size(), err)
				}
				if _, err := w.Write(data[start:min(len(data), start+700_001)]); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.Move(ctx, "/a/b/data", "/c/data"); err != nil {
				t.Fatal(err)
			}
			r, err := d.Reader(ctx, "/c/data", chunk-1)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data[chunk-1:]) {
				t.Errorf("read %d bytes (%v), want %d", len(got), err, len(data)-chunk+1)
			}
			if names, err := d.List(ctx, "/a"); err != nil || len(names) != 1 || names[0] != "/a/b" {
				t.Errorf("list %v (%v)", names, err)
			}
			if err := d.Delete(ctx, "/c"); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Stat(ctx, "/c/data"); !errors.As(err, new(storagedriver.PathNotFoundError)) {
				t.Errorf("stat of what was deleted: %v", err)
			}
			if dir != "" {
				if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
					t.Errorf("files are left: %v (%v)", left, err)
				}
			}
		})
	}
}
