package registrytest

import (
	"bytes"
	"io"
	"os"
	"testing"
)

// TestDisk holds that what is small has no file, what grows has all its bytes in one,
// and what is dropped can still be read.
func TestDisk(t *testing.T) {
	dir := t.TempDir()
	d := &driver{dir: dir}
	files := func() int {
		all, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	f := d.newData()
	var want []byte
	write := func(n int) {
		t.Helper()
		p := bytes.Repeat([]byte{byte(len(want)), 7}, n/2)
		want = append(want, p...)
		if m, err := f.Write(p); m != len(p) || err != nil {
			t.Fatal(m, err)
		}
		got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes of %d came back, %v", len(got), len(want), err)
		}
		if n, err := f.ReadAt(make([]byte, 10), f.Size()-4); n != 4 || err != io.EOF {
			t.Errorf("read %d bytes beyond the end, %v", n, err)
		}
	}
	write(100)
	write(small - 100)
	if n := files(); n != 0 {
		t.Errorf("%d files of what is small", n)
	}
	f.drop()
	write(2)
	write(100_000)
	if n := files(); n != 1 {
		t.Errorf("%d files of one that grew", n)
	}
	f.drop()
	write(10)
	if n := files(); n != 0 {
		t.Errorf("%d files are left", n)
	}
	f.(*disk).close()
}
