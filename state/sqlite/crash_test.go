package sqlite

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/transship/transship/state"
)

// childPath names the state for a copy of this test that is to be killed.
const childPath = "TRANSSHIP_TEST_STATE"

func when() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// A process is killed in the middle of its writes: all that it had been told was
// recorded is there, what it ran is free at once, and its passes are closed.
func TestKilled(t *testing.T) {
	if child := os.Getenv(childPath); child != "" {
		writeForever(t, child) // and makes no folder: nobody would remove it
	}
	path := filepath.Join(t.TempDir(), "state.db")
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), childPath+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	recorded := 0
	for lines := bufio.NewScanner(out); recorded < 40 && lines.Scan(); recorded++ {
	}
	_, locked := Open(t.Context(), path, Options{})
	wants(t, locked, state.ErrLocked, fmt.Sprint("process ", cmd.Process.Pid))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed

	s := openAt(t, path, Options{})
	if n := count(t, s); recorded == 0 || n < recorded {
		t.Errorf("%d tags, and %d had been recorded", n, recorded)
	}
	c, err := s.Take(t.Context())
	if err != nil || c == nil || c.Key != "run/a" || len(c.Hints) != 1 || c.Attempt != 0 {
		t.Errorf("claim %+v, %v", c, err)
	}
	passes, err := s.Passes(t.Context(), "apps", 1)
	if err != nil || len(passes) != 1 || passes[0].Outcome != state.Interrupted || passes[0].Ended.IsZero() {
		t.Errorf("passes %+v, %v", passes, err)
	}
}

// writeForever prints a line for each tag that is recorded.
func writeForever(t *testing.T, path string) {
	ctx := t.Context()
	s := openAt(t, path, Options{})
	if err := s.Ask(ctx, state.Ask{Key: "run/a", Hints: []string{"v1"}}); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Take(ctx); err != nil || c == nil {
		t.Fatal(c, err)
	}
	if _, err := s.BeginPass(ctx, state.Pass{Rule: "apps", Started: when()}); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		if err := s.SeeSource(ctx, repo(), when(), []state.SourceTag{{Name: fmt.Sprint("v", i)}}); err != nil {
			t.Fatal(err)
		}
		fmt.Println(i)
	}
}
