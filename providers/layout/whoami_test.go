package layout

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/transship/transship/providers"
)

// TestTryPushLeavesNothing: neither in a repository, nor where there is none, nor
// where a file stands in the way.
func TestTryPushLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	if err := r.Ensure(t.Context(), "team/app"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	for _, repo := range []string{"team/app", "team/other", "new/deep/repo"} {
		if err := r.TryPush(t.Context(), repo); err != nil {
			t.Errorf("%s: %v", repo, err)
		}
	}
	if err := r.TryPush(t.Context(), "file/app"); err == nil {
		t.Error("a repository below a file can be pushed to")
	}
	if after := tree(t, dir); !slices.Equal(before, after) {
		t.Errorf("after trying to push: %v\nbefore: %v", after, before)
	}
}

func TestWhoami(t *testing.T) {
	who, err := open(t, t.TempDir()).Whoami(t.Context())
	if err != nil || who.Name == "" || who.Name == providers.Anonymous {
		t.Errorf("whoami: %v, %v", who, err)
	}
}

func tree(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
