//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/state/statetest/needs"
)

// idleRules is how many rules there are that are not due.
const idleRules = 1000

// TestIdle prints what a daemon takes, built as users build it, whose rules have all
// run once and are not due for months: memory and CPU, minute by minute.
//
//	TRANSSHIP_LONG=1 go test ./cmd/transship -run TestIdle -v
func TestIdle(t *testing.T) {
	needs.Long(t)
	src, dst := registrytest.New(t, registrytest.Options{}), registrytest.New(t, registrytest.Options{})
	dir := t.TempDir()
	text := fmt.Sprintf("registries:\n  src: {host: %q, plainHTTP: true, auth: {anonymous: true}}\n  dst: {host: %q, plainHTTP: true, auth: {anonymous: true}}\nrules:\n",
		src.Host(), dst.Host())
	for i := range idleRules {
		repo := fmt.Sprintf("team%d/app", i)
		if err := src.Load(repo, content.Image(repo, []content.Blob{content.Layer(repo, 500)}), "v1"); err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("  - {name: rule%d, schedule: %q, from: {registry: src, repositories: {include: [%s]}}, to: [{registry: dst}]}\n",
			i, yearly(time.Now()), repo)
	}
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := idler(t, dir)
	if err := within(t.Context(), 30*time.Minute, time.Second, daemon.idle); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rules have run: %s", idleRules, daemon.memory(t))
	for minute := range 5 {
		before := daemon.ticks(t)
		pause(t.Context(), time.Minute)
		t.Logf("idle for %d min: %s, %.2f %% of a core", minute+1, daemon.memory(t), float64(daemon.ticks(t)-before)/60)
	}
}

// yearly is a schedule that is not due for half a year.
func yearly(now time.Time) string {
	return fmt.Sprintf("0 0 1 %d *", int(now.AddDate(0, 6, 0).Month()))
}

// An idleDaemon is a process that is measured.
type idleDaemon struct {
	pid     int
	address string
}

// idler builds the program and starts it in dir.
func idler(t *testing.T, dir string) idleDaemon {
	t.Helper()
	program := filepath.Join(dir, "transship")
	build := exec.Command(needs.Tool(t, "go"), "build", "-trimpath", "-ldflags=-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	cmd := exec.Command(program, "serve", "-c", filepath.Join(dir, "policy.yaml"), "--state", filepath.Join(dir, "state.db"),
		"--spool-dir", filepath.Join(dir, "spool"), "--spool-size", "64MiB", "--listen", "127.0.0.1:0")
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	d := idleDaemon{pid: cmd.Process.Pid}
	err = within(t.Context(), comes, soon, func() error {
		raw, err := os.ReadFile(log.Name())
		if found := listensAt.FindStringSubmatch(string(raw)); found != nil {
			d.address = found[1]
			return nil
		}
		return errors.Join(errors.New("the daemon does not serve"), err)
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// idle says what keeps the daemon busy: rules that have not run, or work.
func (d idleDaemon) idle() error {
	answer, err := http.Get("http://" + d.address + "/metrics")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	for _, line := range []string{fmt.Sprintf(`transship_jobs_total{outcome="done"} %d`, idleRules),
		`transship_queue_jobs{state="due"} 0`, `transship_queue_jobs{state="running"} 0`} {
		if !strings.Contains(string(raw), line+"\n") {
			return fmt.Errorf("metrics lack %s", line)
		}
	}
	return nil
}

// memory is what the kernel says of the process's memory.
func (d idleDaemon) memory(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.pid))
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(line, ":")
		if kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB")); err == nil && (name == "VmRSS" || strings.HasPrefix(name, "Rss")) {
			parts = append(parts, fmt.Sprintf("%s %.1f MiB", name, float64(kb)/1024))
		}
	}
	return strings.Join(parts, ", ")
}

// ticks is the CPU that the process took, in hundredths of a second.
func (d idleDaemon) ticks(t *testing.T) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return user + system
}
