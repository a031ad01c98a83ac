// Package others starts registries of other makers for tests, as their users run
// them: what [registrytest] pretends, these do. They listen on 127.0.0.1 without TLS
// or sign-in, keep everything in a folder of the test's, and end with it.
package others

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// A Maker is one program, at the version that its test found.
type Maker string

const (
	GGCR         Maker = "go-containerregistry" // its registry, in this process
	Distribution Maker = "docker-registry"      // Debian's package: distribution 2.8
	Zot          Maker = "zot"
	Olareg       Maker = "olareg"
)

// FolderEnv names the folder of the programs that no package has: zot and olareg,
// built from their repositories (go build ./cmd/zot, go build ./cmd/olareg).
const FolderEnv = "TRANSSHIP_REGISTRIES"

// Makers are those that a machine can be expected to have, and of the others those
// that the folder which [FolderEnv] names has.
func Makers() []Maker {
	all := []Maker{GGCR, Distribution}
	for _, m := range []Maker{Zot, Olareg} {
		if _, err := os.Stat(built(m)); err == nil && os.Getenv(FolderEnv) != "" {
			all = append(all, m)
		}
	}
	return all
}

func built(m Maker) string { return filepath.Join(os.Getenv(FolderEnv), string(m)) }

// Start starts an empty registry, and returns its host. Tool finds the program of one
// that is installed, or fails or skips the test.
func Start(t testing.TB, m Maker, tool func(t testing.TB, name string) string) (host string) {
	t.Helper()
	program := built(m)
	switch m {
	case GGCR:
		s := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithReferrersSupport(true)))
		t.Cleanup(s.Close)
		return strings.TrimPrefix(s.URL, "http://")
	case Distribution:
		program = tool(t, string(m))
	}
	var err error
	for range 3 { // a port that was free may not be any more
		if host, err = run(t, m, program); err == nil {
			return host
		}
	}
	t.Fatalf("%s does not start: %v", m, err)
	return ""
}

func run(t testing.TB, m Maker, program string) (host string, err error) {
	dir := t.TempDir()
	if host, err = freePort(); err != nil {
		return "", err
	}
	arguments, err := prepare(m, dir, host)
	if err != nil {
		return "", err
	}
	out, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return "", err
	}
	defer out.Close()
	cmd := exec.Command(program, arguments...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan struct{})
	go func() { defer close(ended); cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if said, err := os.ReadFile(out.Name()); t.Failed() && err == nil {
			t.Logf("%s said: %s", m, said[max(0, len(said)-4000):])
		}
	})
	look, late := time.NewTicker(10*time.Millisecond), time.After(time.Minute)
	defer look.Stop()
	for {
		select {
		case <-ended:
			said, _ := os.ReadFile(out.Name())
			return "", fmt.Errorf("it ended: %s", said)
		case <-late:
			return "", errors.New("it does not answer")
		case <-look.C:
			if answers(m, dir, host) {
				return host, nil
			}
		}
	}
}

// startedBy is a header by which distribution tells that it is ours: somebody else
// may have taken the port.
const startedBy = "X-Started-By"

func answers(m Maker, dir, host string) bool {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + host + "/v2/")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return m != Distribution || resp.Header.Get(startedBy) == dir
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// prepare writes the configuration into dir, and returns the arguments.
func prepare(m Maker, dir, host string) ([]string, error) {
	address, port, err := net.SplitHostPort(host)
	if err != nil {
		return nil, err
	}
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "config")
	switch m {
	case Distribution:
		return []string{"serve", file}, os.WriteFile(file, fmt.Appendf(nil,
			"version: 0.1\nlog: {level: warn, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}\n"+
				"http: {addr: %q, headers: {%s: [%q]}}\n", data, host, startedBy, dir), 0o600)
	case Zot:
		file += ".json"
		return []string{"serve", file}, os.WriteFile(file, fmt.Appendf(nil,
			`{"distSpecVersion":"1.1.1","storage":{"rootDirectory":%q},"http":{"address":%q,"port":%q},"log":{"level":"error"}}`, data, address, port), 0o600)
	case Olareg:
		return []string{"serve", "--dir", data, "--addr", address, "--port", port, "--api-delete"}, nil
	}
	return nil, fmt.Errorf("no maker is called %q", m)
}
