package plan

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// String returns p as [Plan.WriteText] writes it.
func (p Plan) String() string {
	var b bytes.Buffer
	_ = p.WriteText(&b) // a buffer does not fail
	return b.String()
}

// WriteText writes p for people: one line for the target, one for each image
// (why, under which tags, what, how its bytes get there, from where), and one for
// each wanted tag that is left as it is. The text is stable: equal plans, equal
// bytes. A plan with nothing to do is one line.
func (p Plan) WriteText(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: %s\n", p.Target, p.headline())
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for i := range p.Images {
		img := &p.Images[i]
		for _, line := range p.lines(img) {
			fmt.Fprintf(t, "  %s\n", line)
		}
	}
	for _, k := range p.Kept {
		fmt.Fprintf(t, "  %s\n", k.line())
	}
	_ = t.Flush() // into a buffer
	_, err := w.Write(b.Bytes())
	return err
}

// headline says in one line what p comes to.
func (p Plan) headline() string {
	var parts []string
	c := p.Cost
	add := func(n int, format string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf(format, n))
		}
	}
	if p.Empty() {
		parts = append(parts, "nothing to do")
	}
	add(c.Tags, "%d to put")
	add(p.InStep, "%d in step")
	add(len(p.Kept), "%d left")
	if c.Uploads > 0 {
		parts = append(parts, Bytes(c.Bytes)+" to send")
	}
	if c.Imports > 0 {
		parts = append(parts, Bytes(c.Imported)+" imported by the target, past us")
	}
	if c.Saved > 0 {
		parts = append(parts, Bytes(c.Saved)+" mounted or there")
	}
	if c.Price > 0 {
		parts = append(parts, Dollars(c.Price)+" to read")
	}
	for _, n := range c.Nearer {
		parts = append(parts, n.String())
	}
	text := strings.Join(parts, ", ")
	if p.Create && !p.Empty() {
		text += " (new repository)"
	}
	return text
}

// lines returns img's lines, one for each reason why tags are put.
func (p *Plan) lines(img *Image) []string {
	byWhy := map[Why][]string{}
	var order []Why
	for _, t := range img.Tags {
		if byWhy[t.Why] == nil {
			order = append(order, t.Why)
		}
		byWhy[t.Why] = append(byWhy[t.Why], t.label())
	}
	if len(order) == 0 {
		order = []Why{New}
		if img.Root.Here {
			order = []Why{Attach}
		}
		byWhy[order[0]] = []string{"(no tag)"}
	}
	var lines []string
	for i, why := range order {
		line := fmt.Sprintf("%s\t%s\t%s", why, list(byWhy[why], 4), Short(img.Root.Digest))
		if i == 0 {
			line += fmt.Sprintf("\t%s\t%s\tfrom %s", img.what(), img.how(), img.From)
			for _, n := range p.elsewhere(img) {
				line += fmt.Sprintf(", %s from %s", Bytes(n.Bytes), n.From)
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func (t Tag) label() string {
	if t.Before.Hex == "" {
		return t.Name
	}
	return fmt.Sprintf("%s (was %s)", t.Name, Short(t.Before))
}

// what says what kind of content the image is.
func (img *Image) what() string {
	text := "image"
	switch n := len(img.Root.Children); {
	case img.Root.Source.Hex != "":
		text = fmt.Sprintf("rewritten index of %d", n)
	case img.Root.IsIndex():
		text = fmt.Sprintf("index of %d", n)
	case img.Root.MediaType == "":
		text = "manifest"
	}
	fresh := 0
	for _, r := range img.Referrers {
		if !r.Here {
			fresh++
		}
	}
	if fresh == 1 {
		return text + " + 1 referrer"
	}
	if fresh > 1 {
		return fmt.Sprintf("%s + %d referrers", text, fresh)
	}
	return text
}

// how says how the blobs get to the target.
func (img *Image) how() string {
	count, size := map[Have]int{}, map[Have]int64{}
	seen := map[v1.Hash]bool{}
	for n := range img.nodes() {
		for _, b := range n.Blobs {
			if !seen[b.Digest] {
				seen[b.Digest] = true
				count[b.Have]++
				size[b.Have] += max(b.Size, 0)
			}
		}
	}
	var parts []string
	for _, h := range []struct {
		have  Have
		words string
	}{{Upload, "send"}, {Import, "import"}, {Mount, "mount"}, {Shared, "share"}, {Here, "there"}, {Foreign, "foreign"}} {
		if n := count[h.have]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d (%s)", h.words, n, Bytes(size[h.have])))
		}
	}
	if parts == nil {
		return "no blobs"
	}
	return strings.Join(parts, ", ")
}

func (r Refusal) line() string {
	name := r.Tag
	if name == "" {
		name = r.Ref
	}
	text := fmt.Sprintf("%s\t%s\t%s\t%s", r.Kind, name, Short(r.Source), r.Reason)
	if r.Hint != "" {
		text += "; " + r.Hint
	}
	return strings.ReplaceAll(text, "\n", " ")
}

// list joins at most n names, and says how many more there are.
func list(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
}

// Short is a digest as people can compare it: the algorithm and 12 digits.
func Short(h v1.Hash) string {
	if h.Hex == "" {
		return "-"
	}
	return h.Algorithm + ":" + h.Hex[:min(12, len(h.Hex))]
}

// Bytes prints n bytes in decimal units, with three significant digits.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, unit = range []string{"kB", "MB", "GB", "TB", "PB", "EB"} {
		if f /= 1000; f < 999.5 {
			break
		}
	}
	return fmt.Sprintf("%.3g %s", f, unit)
}

// Dollars prints an amount of USD to the cent.
func Dollars(usd float64) string {
	if usd < 0.01 {
		return "less than 0.01 USD"
	}
	return fmt.Sprintf("about %.2f USD", usd)
}

// Explain says what p does about ref, a tag of the target or the source, or a
// digest: a clause for each thing, in p's order. It is empty for what p says
// nothing about: that is in step, or not wanted.
func (p Plan) Explain(ref string) []string {
	var list []string
	for i := range p.Images {
		img := &p.Images[i]
		how := img.how()
		for _, n := range p.elsewhere(img) {
			how += "; " + n.String()
		}
		byDigest := img.Root.Digest.String() == ref || img.Root.Source.String() == ref
		for _, t := range img.Tags {
			if t.Name == ref || byDigest {
				list = append(list, fmt.Sprintf("%s: %s of %s (%s), %s", t.Name, t.Why.words(), Short(img.Root.Digest), img.what(), how))
			}
		}
		if byDigest && len(img.Tags) == 0 {
			list = append(list, fmt.Sprintf("%s: it is brought without a tag (%s), %s", Short(img.Root.Digest), img.what(), how))
		}
	}
	for _, k := range p.Kept {
		if slices.Contains([]string{k.Tag, k.Ref, k.Source.String()}, ref) {
			text := fmt.Sprintf("%s: %s: %s", k.Ref, k.Kind, k.Reason)
			if k.Hint != "" {
				text += "; " + k.Hint
			}
			list = append(list, text)
		}
	}
	return list
}

// words says what w means, as a noun.
func (w Why) words() string {
	switch w {
	case New:
		return "first copy"
	case Update:
		return "update, as the source moved,"
	case Overwrite:
		return "overwrite of what somebody else put"
	case Restore:
		return "restoration, as it left the target,"
	case Mend:
		return "completion of what is missing below it"
	case Attach:
		return "addition of new referrers"
	}
	return string(w)
}
