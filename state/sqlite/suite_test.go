package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/transship/transship/state"
	"github.com/transship/transship/state/statetest"
)

func TestSuite(t *testing.T) {
	statetest.Run(t, func(t *testing.T) func() state.Store {
		path := filepath.Join(t.TempDir(), "state.db")
		return func() state.Store {
			s, err := Open(t.Context(), path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	})
}
