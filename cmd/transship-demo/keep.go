package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// spoolSize bounds what is kept of blobs in transit.
const spoolSize = "256MiB"

// A hint is a shell command to try: what for, the command, and a word that it
// prints. Its program is "transship", which is replaced by how that is run here.
type hint struct{ about, command, shows string }

// program is how a reader can run transship: from the checkout if this is one.
func program() string {
	if _, err := os.Stat(filepath.Join("cmd", "transship", "main.go")); err == nil {
		return "go run ./cmd/transship"
	}
	return "transship"
}

// environment is the flags that all hints share, by their twins.
func (w *world) environment() []string {
	return append([]string{
		"TRANSSHIP_CONFIG=" + w.path(policyFile),
		"TRANSSHIP_STATE=" + w.path(stateFile),
		"TRANSSHIP_SPOOL_DIR=" + w.path(spoolDir),
	}, w.signIn()...)
}

// try lists what is worth a look, in an order that works from top to bottom.
func (w *world) try() []hint {
	stable := w.aws.URL() + "/v2/team/shop/manifests/"
	const image = "application/vnd.oci.image.manifest.v1+json"
	curl := "curl -K " + w.path(curlFile)
	return []hint{
		{"the policy, checked", "transship config validate", "no mistakes"},
		{"who we are in each cloud, what we may do there, and what to grant", "transship doctor", "demo@acme.iam.gserviceaccount.com"},
		{"nothing to do", "transship plan", "0 tags to put"},
		{"move a tag back at the source …", fmt.Sprintf("%s -H 'Accept: %s' %sv1.0 | %s -X PUT -H 'Content-Type: %s' --data-binary @- %sstable", curl, image, stable, curl, image, stable), ""},
		{"… and see it followed", "transship sync", "2 tags put"},
		{"why a tag is taken", "transship plan --explain aws/team/shop:stable", "everything"},
		{"every byte at the targets, hashed", "transship check --deep", "26 of 26"},
		{"how far behind each target is", "transship status", "everything"},
		{"what is known of each cloud, and where that was learned", "transship providers", "PutImage"},
	}
}

// hints prints them.
func (d *demo) hints(w io.Writer) {
	d.title("Try it yourself")
	d.say("The registries keep running until Ctrl-C. In another terminal, in this folder:\n")
	for _, e := range d.world.environment() {
		fmt.Fprintf(w, "  export %s\n", e)
	}
	for _, h := range d.world.try() {
		fmt.Fprintf(w, "\n  %s\n  %s\n", d.style.dim("# "+h.about), h.shell(program()))
	}
	fmt.Fprintln(w)
}

// shell is the command with transship run by program.
func (h hint) shell(program string) string {
	if args, ok := strings.CutPrefix(h.command, "transship "); ok {
		return program + " " + args
	}
	return h.command
}
