package trace

import (
	"context"
	"errors"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"

	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state"
)

// most is how many tags or rules one attribute lists.
const most = 16

// longest is the length of a text in bytes: an error may quote what a server said.
const longest = 300

// bounded is s cut to a length, in UTF-8: other text is refused with its whole batch.
func bounded(s string) string {
	if len(s) > longest {
		s = s[:longest] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func text(name, value string) attribute.KeyValue {
	return attribute.String("transship."+name, bounded(value))
}

func number(name string, value int64) attribute.KeyValue {
	return attribute.Int64("transship."+name, value)
}

func list(name string, values []string) attribute.KeyValue {
	return attribute.StringSlice("transship."+name, values)
}

// jobAttributes are the job's key, its rules, source and targets.
func jobAttributes(job replicator.Job) []attribute.KeyValue {
	var rules, from, to names
	for _, l := range job.Links {
		rules.add(l.Rule.Name)
		from.add(l.From.String())
		to.add(l.To.String())
	}
	return []attribute.KeyValue{text("job", job.Key), list("rules", rules), list("sources", from), list("targets", to)}
}

// names are a few texts, each once, in the order in which they came.
type names []string

func (n *names) add(name string) {
	name = bounded(name)
	if len(*n) < most && !slices.Contains(*n, name) {
		*n = append(*n, name)
	}
}

func imageAttributes(target plan.Place, img *plan.Image) []attribute.KeyValue {
	kv := []attribute.KeyValue{text("rule", img.Rule), text("source", img.From.String()), text("target", target.Registry),
		text("repository", target.Repo), text("digest", img.Root.Digest.String())}
	var tags names
	for _, tag := range img.Tags {
		tags.add(tag.Name)
	}
	if len(tags) == 0 {
		return append(kv, text("reference", target.Repo+"@"+img.Root.Digest.String()))
	}
	return append(kv, text("reference", target.Repo+":"+tags[0]), list("tags", tags))
}

// figures are those that are not zero.
func figures(f state.Figures) (kv []attribute.KeyValue) {
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"tags.in_step", f.InStep}, {"tags.copied", f.Copied}, {"tags.kept", f.Kept}, {"tags.waiting", f.Waiting}, {"images.failed", f.Failed},
		{"blobs.uploaded", f.BlobsSent}, {"blobs.mounted", f.Mounted}, {"blobs.present", f.Present},
		{"bytes.read", f.BytesRead}, {"bytes.reread", f.BytesRead2}, {"bytes.uploaded", f.BytesSent}, {"bytes.saved", f.BytesSaved}, {"bytes.mounted", f.BytesMounted},
		{"bytes.imported", f.BytesImported},
	} {
		if n.value != 0 {
			kv = append(kv, number(n.name, n.value))
		}
	}
	return kv
}

// interrupted reports whether err says that we were stopped.
func interrupted(err error) bool {
	return errors.Is(err, transfer.ErrInterrupted) || errors.Is(err, context.Canceled)
}
