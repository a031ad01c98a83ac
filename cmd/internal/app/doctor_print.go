package app

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

func (p *program) writeCheckups(all []checkup) error {
	if p.json() {
		if err := p.writeJSON(map[string]any{"registries": all}); err != nil {
			return err
		}
		return checkupVerdict(all)
	}
	for i, one := range all {
		if i > 0 {
			p.printf("\n")
		}
		if err := one.write(p.stdout); err != nil {
			return err
		}
	}
	return checkupVerdict(all)
}

// checkupVerdict has the exit code: 3 if a check failed.
func checkupVerdict(all []checkup) error {
	for _, one := range all {
		if slices.ContainsFunc(one.Checks, func(f finding) bool { return f.Verdict == failed }) {
			return &failure{code: exitSomeLeft}
		}
	}
	return nil
}

// write prints the table of one registry, what to mend, to trust and to grant.
func (c checkup) write(w io.Writer) error {
	fmt.Fprintf(w, "%s: %s (%s)%s\n", c.Registry, c.Host, c.Provider, c.uses())
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range joined(c.Checks) {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", f.Name, f.Verdict, f.Detail)
		if f.Fix != "" {
			fmt.Fprintf(table, "  \t\ttry: %s\n", f.Fix)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, t := range []struct{ title, text string }{{"to trust", c.Trust}, {"to grant", c.Grant}} {
		if t.text != "" {
			fmt.Fprintf(w, "  %s:\n    %s\n", t.title, strings.ReplaceAll(strings.TrimSpace(t.text), "\n", "\n    "))
		}
	}
	return nil
}

func (c checkup) uses() string {
	if len(c.Uses) == 0 {
		return ", which no rule uses"
	}
	var words []string
	for _, u := range c.Uses {
		words = append(words, u.Side+" of "+u.Rule)
	}
	return ", " + strings.Join(words, ", ")
}

// joined has checks that were skipped for one reason in one row.
func joined(all []finding) (rows []finding) {
	for _, f := range all {
		last := len(rows) - 1
		if last >= 0 && f.Verdict == skipped && rows[last].Verdict == skipped && rows[last].Detail == f.Detail {
			rows[last].Name += ", " + f.Name
			continue
		}
		rows = append(rows, f)
	}
	for i, f := range rows {
		if names := strings.Split(f.Name, ", "); len(names) > 2 {
			rows[i].Name = names[0] + " and the rest"
		}
	}
	return rows
}
