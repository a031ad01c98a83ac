package app

import (
	"bytes"
	"encoding/json"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/replicator/plan"
)

// A planWriter prints plans as they come, and at the end what they come to.
type planWriter struct {
	p   *program
	set *policy.Set

	plans, quiet, inStep int
	bad                  int // what is left as it is and should not be
}

func (p *program) planWriter(set *policy.Set) *planWriter { return &planWriter{p: p, set: set} }

// plan prints one plan: as text only if it does or leaves something.
func (w *planWriter) plan(one plan.Plan) error {
	w.plans++
	w.inStep += one.InStep
	for _, k := range one.Kept {
		if k.Failed(conflictFails(w.set, k.Rule, one.Target.Registry)) {
			w.bad++
		}
	}
	switch {
	case w.p.json():
		return w.element(one)
	case one.Empty() && len(one.Kept) == 0:
		w.quiet++
		return nil
	}
	return one.WriteText(w.p.stdout)
}

// element prints one plan as an element of the list that JSON begins with.
func (w *planWriter) element(one plan.Plan) error {
	head := ",\n    "
	if w.plans == 1 {
		head = "{\n  \"plans\": [\n    "
	}
	text, err := indented(one, "    ")
	if err != nil {
		return err
	}
	_, err = w.p.stdout.Write(append([]byte(head), text...))
	return err
}

// end prints the rest, and returns the error that has the exit code.
func (w *planWriter) end(out planSummary) error {
	if w.p.json() {
		if err := w.endJSON(out); err != nil {
			return err
		}
		return w.verdict(out)
	}
	w.p.writeTrouble(out.Problems, out.Jobs, nil)
	if w.quiet > 0 {
		w.p.printf("%s with nothing to do\n", count(w.quiet, "target repository"))
	}
	c := out.Cost
	w.p.printf("\nin all: %s to put, %d in step; %s in %s to send, %s not to send; %s to read", count(c.Tags, "tag"), w.inStep,
		plan.Bytes(c.Bytes), count(c.Uploads, "blob"), plan.Bytes(c.Saved), plan.Bytes(c.Read))
	if c.Price > 0 {
		w.p.printf(" (%s)", plan.Dollars(c.Price))
	}
	for _, n := range c.Nearer {
		w.p.printf(", %s", n)
	}
	w.p.printf("\n")
	for _, note := range out.Notes {
		w.p.printf("note: %s\n", note)
	}
	return w.verdict(out)
}

// endJSON closes the list of plans and prints the fields of out after it.
func (w *planWriter) endJSON(out planSummary) error {
	text, err := indented(out, "")
	if err != nil {
		return err
	}
	head := "\n  ],\n"
	if w.plans == 0 {
		head = "{\n  \"plans\": [],\n"
	}
	_, err = w.p.stdout.Write(append([]byte(head), append(bytes.TrimPrefix(text, []byte("{\n")), '\n')...))
	return err
}

// verdict has the exit code of a plan: what cannot be planned counts as failed.
func (w *planWriter) verdict(out planSummary) error {
	switch {
	case w.bad+len(out.Problems)+len(out.Jobs) == 0:
		return nil
	case w.plans == 0:
		return &failure{code: exitFailed}
	default:
		return &failure{code: exitSomeLeft}
	}
}

// indented is v as [program.writeJSON] prints it, further in and without a last newline.
func indented(v any, prefix string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent(prefix, "  ")
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
