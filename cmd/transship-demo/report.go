package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/transship/transship/providers"
)

// lineWidth is how wide the story is, in characters.
const lineWidth = 80

// introduce says what is there.
func (d *demo) introduce(from stock) {
	w := &d.world
	d.title("Three clouds on this machine")
	d.say("They behave as ECR, Artifact Registry and ACR do, refusals included.\n")
	for _, s := range w.sides() {
		d.say("  %s  %-23s  %s", d.style.bold(fmt.Sprintf("%-6s", s.name)), s.URL(), d.style.dim(s.about))
	}
	shape := w.stuff.corpus.Shape()
	d.say("\n%s\n", wrap(fmt.Sprintf("aws holds %d repositories with %d tags, %d manifests and %s of layers, made of %s:",
		shape.Repositories, shape.Tags, shape.Manifests, size(shape.UniqueBytes), from.name), lineWidth, ""))
	for _, repo := range w.aws.Repositories() {
		d.say("  %-14s %s", repo, d.style.dim(d.tags(repo)))
	}
	d.say("\nThe policy:\n\n%s", d.style.dim(indent(w.policy())))
}

// tags lists a repository's tags, and last those that belong to other manifests,
// shortened.
func (d *demo) tags(repo string) string {
	var own, others []string
	for _, tag := range slices.Sorted(maps.Keys(d.world.aws.Tags(repo))) {
		if _, kind, other := providers.ReferrerTag(tag); other {
			others = append(others, tag[:len("sha256-1234567")]+"…"+kind)
			continue
		}
		own = append(own, tag)
	}
	return strings.Join(append(own, others...), " ")
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ")
}

// report prints the tables and the claims, and fails if one of them does not hold.
func (d *demo) report() error {
	d.claims = append(d.world.claims(d.passes), d.claims...)
	d.tables()
	failed := 0
	d.say("")
	for _, c := range d.claims {
		mark := d.style.green("✓")
		if !c.Holds {
			mark = d.style.red("✗")
			failed++
		}
		d.say("%s %s", mark, wrap(c.Text, lineWidth-2, "  "))
	}
	if d.json() {
		if err := d.writeJSON(failed == 0); err != nil {
			return err
		}
	}
	took := time.Since(d.started).Round(100 * time.Millisecond)
	if failed > 0 {
		d.say("\n%s", d.style.red(fmt.Sprintf("%d of %d claims are not borne out by the counts above.", failed, len(d.claims))))
		return errUntrue
	}
	d.say("\n%s", d.style.bold(wrap(d.proof(took), lineWidth, "")))
	return nil
}

func (d *demo) tables() {
	d.title("Requests and bytes, counted at the registries")
	d.say("")
	requestTable(d.story, d.style, d.passes)
	d.say("%s", d.style.dim("* signing in and following redirects: tokens, reads from the storage host"))
	d.title("How blobs came to the targets")
	d.say("")
	blobTable(d.story, d.style, d.passes, []string{"google", "azure"})
}

// proof says in one sentence what all claims together show.
func (d *demo) proof(took time.Duration) string {
	last := d.passes[slices.IndexFunc(d.passes, func(p pass) bool { return p.Name == passUnchanged })].side("aws").Requests
	return fmt.Sprintf("Proven in %v: each of %d blobs left AWS once for two other clouds; the unchanged pass was %d lists at the source, not one request for a tag and no write anywhere; both replicas are complete and equal.",
		took, len(d.passes[1].side("aws").counts.Digests), last.Lists)
}

// writeJSON prints the figures for scripts.
func (d *demo) writeJSON(ok bool) error {
	e := json.NewEncoder(d.stdout)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		OK     bool    `json:"ok"`
		Size   string  `json:"size"`
		Passes []pass  `json:"passes"`
		Claims []claim `json:"claims"`
	}{ok, d.size, d.passes, d.claims})
}
