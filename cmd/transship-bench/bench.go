package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// slow is how long a tool's first run of a scenario may take for it to have more.
const slow = time.Minute

// A bench is one invocation.
type bench struct {
	options
	stdout, stderr io.Writer
	report         report
	corpora        *library
}

// run is the program: what was measured is printed even if it is interrupted.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, code, ok := parse(args, stdout, stderr)
	if !ok {
		return code
	}
	if o.list {
		printList(stdout)
		return exitDone
	}
	b := &bench{options: o, stdout: stdout, stderr: stderr, corpora: newLibrary(o.seed, o.scale)}
	err := b.collect(ctx)
	if len(b.report.Scenarios) > 0 {
		err = errors.Join(err, b.publish())
	}
	switch {
	case err != nil && ctx.Err() != nil:
		fmt.Fprintln(stderr, "transship-bench: interrupted; what was measured before is printed")
		return exitFailed
	case err != nil:
		fmt.Fprintf(stderr, "transship-bench: %v\n", err)
		return exitFailed
	case slices.ContainsFunc(judgements(b.report), func(j judgement) bool { return j.Missed }):
		return exitMissed
	}
	return exitDone
}

// collect reads what was measured before, and measures the rest.
func (b *bench) collect(ctx context.Context) error {
	b.report = report{Machine: thisMachine(), Seed: b.seed, Scale: b.scale}
	for _, file := range b.from {
		if err := b.read(file); err != nil {
			return err
		}
	}
	if len(b.from) > 0 && len(b.scenarios) == 0 {
		return nil
	}
	return b.measureAll(ctx)
}

// read takes over a report of the same seed and scale.
func (b *bench) read(file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r report
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if r.Seed != b.seed || r.Scale != b.scale {
		return fmt.Errorf("%s was measured with --seed %d --scale %g; give the same to go on from it", file, r.Seed, r.Scale)
	}
	b.report.Machine, b.report.Tools = r.Machine, merged(b.report.Tools, r.Tools)
	for _, o := range r.Scenarios {
		b.keep(o)
	}
	return nil
}

// merged is what is known of the tools, the later over the earlier.
func merged(earlier, later []about) []about {
	for _, t := range later {
		i := slices.IndexFunc(earlier, func(e about) bool { return e.Name == t.Name })
		switch {
		case i < 0:
			earlier = append(earlier, t)
		case t.Missing == "":
			earlier[i] = t
		}
	}
	return earlier
}

// keep adds an outcome in the order of scenarios, in the place of an earlier one.
func (b *bench) keep(o outcome) {
	s := slices.DeleteFunc(b.report.Scenarios, func(e outcome) bool { return e.Name == o.Name })
	s = append(s, o)
	order := scenarioNames()
	slices.SortStableFunc(s, func(x, y outcome) int { return slices.Index(order, x.Name) - slices.Index(order, y.Name) })
	b.report.Scenarios = s
}

// measureAll goes through the scenarios that are asked for.
func (b *bench) measureAll(ctx context.Context) error {
	debug.SetGCPercent(400) // registries share the cores with what is measured
	debug.SetMemoryLimit(8 << 30)
	dir, err := os.MkdirTemp("", "transship-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	chosen, err := b.chosenTools(ctx, dir)
	if err != nil {
		return err
	}
	var infos []about
	for _, t := range chosen {
		infos = append(infos, about{t.name, t.version, t.about, t.missing})
	}
	b.report.Machine, b.report.Tools = thisMachine(), merged(b.report.Tools, infos)
	for _, s := range scenarios(b.seed, b.scale) {
		if len(b.scenarios) > 0 && !slices.Contains(b.scenarios, s.name) {
			continue
		}
		if err := b.measureOne(ctx, s, chosen); err != nil {
			return err
		}
	}
	return nil
}

// chosenTools are those that are asked for; transship is built unless it is given.
func (b *bench) chosenTools(ctx context.Context, dir string) ([]tool, error) {
	wanted := func(name string) bool { return len(b.tools) == 0 || slices.Contains(b.tools, name) }
	ours := find("", b.transship)
	switch {
	case b.transship != "" && ours == "":
		return nil, fmt.Errorf("--transship: there is no program %s", filepath.Base(b.transship))
	case b.transship == "" && wanted(ourName):
		built, err := buildTransship(ctx, dir)
		if err != nil {
			return nil, err
		}
		ours = built
	}
	return slices.DeleteFunc(findTools(ours, b.peers), func(t tool) bool { return !wanted(t.name) }), nil
}

// measureOne runs the tools in turns: A B C A B C, so that what else happens on the
// machine meets all of them. What was measured is kept, also after an error.
func (b *bench) measureOne(ctx context.Context, s scenario, chosen []tool) error {
	c, err := b.corpora.get(s.work)
	if err != nil {
		return err
	}
	o := outcome{Name: s.name, Title: s.title, About: s.about, Date: time.Now().Format(time.DateOnly), Shape: c.shape, Minimum: s.minimum(c)}
	for _, t := range chosen {
		r := row{Tool: t.name, Missing: t.missing}
		if s.Clouds {
			r.Derived = derive(t.name, c.shape, s.Targets)
		}
		o.Rows = append(o.Rows, r)
	}
	defer func() {
		if slices.ContainsFunc(o.Rows, row.measured) || err == nil {
			b.keep(o)
		}
	}()
	for n := range b.runs {
		for i, t := range chosen {
			if r := &o.Rows[i]; t.path != "" && r.Derived == nil && more(r.Runs) {
				err = b.measureRun(ctx, trial{s, c, t, b.timeout}, n, r)
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// more reports whether a tool with these runs is to have another one.
func more(runs []sample) bool {
	return len(runs) == 0 || runs[0].Failed == "" && !runs[0].TimedOut && runs[0].Wall < slow.Seconds()
}

func (b *bench) measureRun(ctx context.Context, t trial, n int, to *row) error {
	runtime.GC()
	one, err := t.measure(ctx)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", t.scenario.name, t.tool.name, err)
	}
	to.Runs = append(to.Runs, one)
	fmt.Fprintf(b.stderr, "%-16s run %d of %d  %-9s  %6.2f s  CPU %5.2f s  %s\n",
		t.scenario.name, n+1, b.runs, t.tool.name, one.Wall, one.CPU, result(row{Runs: []sample{one}}))
	if b.verbose {
		fmt.Fprint(b.stderr, one.said)
	}
	return nil
}

// publish prints the report wherever it is wanted.
func (b *bench) publish() error {
	errs := []error{formats[b.format](b.stdout, b.report)}
	for _, file := range b.outputs {
		errs = append(errs, b.write(file))
	}
	for _, file := range b.updates {
		errs = append(errs, update(file, b.report))
	}
	return errors.Join(errs...)
}

func (b *bench) write(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	err = formats[strings.TrimPrefix(filepath.Ext(file), ".")](f, b.report)
	return errors.Join(err, f.Close())
}
