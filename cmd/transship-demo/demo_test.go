package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/cmd/internal/app"
)

// asTransship makes this test binary the transship command line, for the shell
// commands that the demo tells people to try.
const asTransship = "TRANSSHIP_DEMO_TEST_AS_TRANSSHIP"

func TestMain(m *testing.M) {
	if os.Getenv(asTransship) != "" {
		os.Exit(app.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// emptyTemp makes an empty folder the one for temporary files, and looks in the
// end that it is empty again.
func emptyTemp(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	})
	return dir
}

func TestDemo(t *testing.T) {
	emptyTemp(t)
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"--size", "small"}, &out, &errs, app.Main); code != exitDone {
		t.Fatalf("exit code %d\n%s\n%s", code, &out, &errs)
	}
	text := out.String()
	at := 0
	for _, want := range []string{
		"Three clouds", "The policy:", "$ transship plan", "$ transship sync", "$ transship sync", "$ transship sync", "$ transship check",
		"POST+PUT", "first sync", "aws", "google", "azure", "nothing changed", "already there", "✓ The plan took", "Proven in",
	} {
		i := strings.Index(text[at:], want)
		if i < 0 {
			t.Fatalf("%q is not where it should be in\n%s", want, text)
		}
		at += i + len(want)
	}
	if strings.Contains(text, "\x1b") || strings.Contains(text, "✗") {
		t.Errorf("colours without a terminal, or a claim that fails:\n%s", text)
	}
	for line := range strings.Lines(text[strings.Index(text, "Requests and bytes"):]) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 90 {
			t.Errorf("%d characters: %s", n, line)
		}
	}
}

// figures are the JSON that scripts read.
type figures struct {
	OK     bool
	Passes []struct {
		Name       string
		Registries []struct {
			Registry          string
			Requests          requests
			BytesOut, BytesIn int64
			Blobs             blobs
		}
	}
	Claims []claim
}

func TestFiguresForScripts(t *testing.T) {
	emptyTemp(t)
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"--size=small", "-o", "json"}, &out, &errs, app.Main); code != exitDone {
		t.Fatalf("exit code %d\n%s\n%s", code, &out, &errs)
	}
	var got figures
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("standard output is no JSON: %v\n%s", err, &out)
	}
	if !got.OK || len(got.Passes) != 5 || len(got.Claims) != 7 {
		t.Errorf("ok %v, %d passes, %d claims", got.OK, len(got.Passes), len(got.Claims))
	}
	for _, p := range got.Passes {
		if len(p.Registries) != 3 {
			t.Errorf("%s: %d registries", p.Name, len(p.Registries))
		}
		for _, s := range p.Registries {
			r := s.Requests
			sum := r.API + r.Lists + r.Heads + r.ManifestGets + r.Referrers + r.BlobGets + r.Mounts + r.Uploads + r.ManifestPuts + r.Other
			if sum != r.Total {
				t.Errorf("%s, %s: the columns are %d requests, all are %d", p.Name, s.Registry, sum, r.Total)
			}
			if s.Blobs.Present < 0 || r.Other != 0 {
				t.Errorf("%s, %s: %+v %+v", p.Name, s.Registry, s.Blobs, r)
			}
		}
	}
	first := got.Passes[1].Registries
	if first[0].Requests.BlobGets == 0 || first[1].Blobs.Mounted == 0 || first[2].Blobs.Mounted == 0 || first[1].Requests.API == 0 {
		t.Errorf("the first sync: %+v", first)
	}
	if !strings.Contains(errs.String(), "$ transship sync") {
		t.Error("the story is not on standard error")
	}
}

// TestCleanUp ends the demo in its middle, in several ways.
func TestCleanUp(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(cancel func()) int // what sync does
		want string
	}{
		{"Ctrl-C", func(cancel func()) int { cancel(); return 1 }, "interrupted"},
		{"sync fails", func(func()) int { return 3 }, "transship sync ended with exit code 3"},
		{"nothing is done", func(func()) int { return 0 }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			emptyTemp(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var hosts []string
			var out, errs bytes.Buffer
			code := run(ctx, []string{"--size", "small"}, &out, &errs, func(args []string, _ io.Reader, _, _ io.Writer) int {
				hosts = policyHosts(t, args)
				if args[0] != "sync" {
					return 0
				}
				return tt.end(cancel)
			})
			if code != exitFailed || !strings.Contains(errs.String(), tt.want) {
				t.Errorf("exit code %d, want %d and %q\n%s\n%s", code, exitFailed, tt.want, &out, &errs)
			}
			for _, host := range hosts {
				if c, err := net.DialTimeout("tcp", host, time.Second); err == nil {
					_ = c.Close()
					t.Errorf("%s still answers", host)
				}
			}
			if len(hosts) != 3 {
				t.Errorf("registries %v", hosts)
			}
		})
	}
}

// policyHosts reads the registries of the policy that a command is given.
func policyHosts(t *testing.T, args []string) []string {
	t.Helper()
	var hosts []string
	for i, a := range args {
		if a != "--config" {
			continue
		}
		text, err := os.ReadFile(args[i+1])
		if err != nil {
			t.Error(err)
		}
		for part := range strings.SplitSeq(string(text), `host: "`) {
			if host, _, ok := strings.Cut(part, `", provider`); ok {
				hosts = append(hosts, host)
			}
		}
	}
	return hosts
}

// TestClaimsAreHeld spoils what the registries see, and looks whether the demo
// notices.
func TestClaimsAreHeld(t *testing.T) {
	spoil := func(t *testing.T, host, path string) {
		r, err := http.Get("http://" + host + path)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	for _, tt := range []struct {
		name string
		at   int // the how-manieth command
		path string
		want string
	}{
		{"a second manifest read for the moved tag", 2, "/v2/team/shop/manifests/v1.0", "✗ The moved tag took 2 manifest reads"},
		{"a manifest read without a change", 3, "/v2/team/shop/manifests/v1.0", "✗ The unchanged pass"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			emptyTemp(t)
			var out, errs bytes.Buffer
			n := 0
			code := run(t.Context(), []string{"--size", "small"}, &out, &errs, func(args []string, in io.Reader, stdout, stderr io.Writer) int {
				if n == tt.at {
					spoil(t, policyHosts(t, args)[0], tt.path)
				}
				n++
				return app.Main(args, in, stdout, stderr)
			})
			if code != exitFailed || !strings.Contains(out.String(), tt.want) || !strings.Contains(out.String(), "1 of 7 claims") {
				t.Errorf("exit code %d, want %q\n%s\n%s", code, tt.want, &out, &errs)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--help"}, exitDone, "Examples:"},
		{[]string{"-h"}, exitDone, "Exit codes: 0"},
		{[]string{"--size", "huge"}, exitUsage, `--size: "huge" is not one of small, normal`},
		{[]string{"-o", "yaml"}, exitUsage, `--output: "yaml" is not one of text, json`},
		{[]string{"--fast"}, exitUsage, "try: transship-demo --help"},
		{[]string{"now"}, exitUsage, `unexpected argument "now"`},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			emptyTemp(t)
			var out, errs bytes.Buffer
			code := run(t.Context(), tt.args, &out, &errs, func([]string, io.Reader, io.Writer, io.Writer) int {
				t.Error("transship was run")
				return 0
			})
			if got := out.String() + errs.String(); code != tt.code || !strings.Contains(got, tt.want) {
				t.Errorf("exit code %d, want %d and %q in\n%s", code, tt.code, tt.want, got)
			}
		})
	}
}
