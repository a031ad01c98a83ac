package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// buildTransship builds the program of this checkout into dir.
func buildTransship(ctx context.Context, dir string) (path string, err error) {
	path = filepath.Join(dir, "transship")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/transship/transship/cmd/transship")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build transship (or name one with --transship): %w\n%s", err, out)
	}
	return path, nil
}

func transshipTool() tool {
	return tool{
		name: "transship", about: "sync, one process for all targets, width 32 as by default",
		remembers: true, hashes: true, pass: transshipPass,
	}
}

// transshipPass is one process for everything.
func transshipPass(path string, j job) ([]batch, error) {
	file := filepath.Join(j.dir, "policy.yaml")
	if err := os.WriteFile(file, []byte(policyOf(j)), 0o600); err != nil {
		return nil, err
	}
	env := environment(j.dir)
	if j.clouds != nil {
		env = append(env, j.clouds.env...)
	}
	return []batch{{1, []command{{path: path, dir: j.dir, env: env, args: []string{
		"sync", "--config", file, "--progress", "none",
		"--state", filepath.Join(j.dir, "state.db"), "--spool-dir", filepath.Join(j.dir, "spool"),
	}}}}}, nil
}

// policyOf is transship's policy for a job. The repositories are named, as they
// are for every other tool, so that nobody asks for the catalog.
func policyOf(j job) string {
	if j.clouds != nil {
		return j.clouds.policy
	}
	var b bytes.Buffer
	registry := func(name, host, more string) {
		if j.login {
			more += fmt.Sprintf(", auth: {username: %s, password: %s}", userName, password)
		}
		fmt.Fprintf(&b, "  %s: {host: %q, provider: oci, plainHTTP: true%s}\n", name, host, more)
	}
	b.WriteString("registries:\n")
	registry("source", j.source, "")
	var to []string
	for n, host := range j.targets {
		more := ""
		if j.chunks != "" {
			more = fmt.Sprintf(", capabilities: {chunks: %q}", j.chunks)
		}
		registry(fmt.Sprintf("target-%d", n+1), host, more)
		to = append(to, fmt.Sprintf("{registry: target-%d}", n+1))
	}
	fmt.Fprintf(&b, "rules:\n  - name: bench\n    from: {registry: source, repositories: {include: [%s]}}\n    to: [%s]\n",
		strings.Join(j.repos, ", "), strings.Join(to, ", "))
	return b.String()
}
