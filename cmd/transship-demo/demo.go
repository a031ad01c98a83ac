package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// A demo is one run: the world it plays in, and what was seen.
type demo struct {
	options
	world     world
	transship command
	stdout    io.Writer
	stderr    io.Writer
	story     io.Writer // stdout, or stderr when stdout is for scripts
	style     style
	passes    []pass
	claims    []claim
	started   time.Time
	kept      func() // called when the registries are there to be used, for tests
}

// errUntrue ends a run of which not all claims hold; it has been printed.
var errUntrue = errors.New("not all of it is true")

// run is the program: it cleans up before it returns, whatever happened.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, transship command) int {
	o, code, ok := parse(args, stdout, stderr)
	if !ok {
		return code
	}
	d := &demo{options: o, transship: transship, stdout: stdout, stderr: stderr, kept: func() {}}
	return d.run(ctx)
}

func (d *demo) run(ctx context.Context) int {
	d.started, d.story = time.Now(), d.stdout
	if d.json() {
		d.story = d.stderr
	}
	d.style = styleFor(d.story)
	err := d.play(ctx)
	if err == nil && d.keep {
		err = d.world.writeCurl()
	}
	if err == nil && d.keep {
		d.hints(d.story)
		d.kept()
		<-ctx.Done()
		fmt.Fprintln(d.stderr)
	}
	return d.conclude(ctx, err, d.world.close())
}

// conclude says how it ended.
func (d *demo) conclude(ctx context.Context, err, closing error) int {
	switch {
	case err != nil && ctx.Err() != nil:
		fmt.Fprintln(d.stderr, "transship-demo: interrupted; registries and files are removed")
	case err != nil && !errors.Is(err, errUntrue):
		fmt.Fprintf(d.stderr, "transship-demo: %v\n", err)
	}
	if closing != nil {
		fmt.Fprintf(d.stderr, "transship-demo: %v\n", closing)
	}
	if err != nil || closing != nil {
		return exitFailed
	}
	return exitDone
}

func (d *demo) json() bool { return d.output == "json" }

// play is the story, in order.
func (d *demo) play(ctx context.Context) error {
	d.say("Making images of this machine's files; nothing leaves it.")
	from := openStock(ctx)
	if err := d.world.open(ctx, from, d.size == "small"); err != nil {
		return err
	}
	d.introduce(from)
	for _, step := range []func() error{d.plan, d.first, d.moved, d.unchanged, d.check} {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := step(); err != nil {
			return err
		}
	}
	return d.report()
}

func (d *demo) plan() error {
	d.title("What would happen")
	return d.pass(passPlan, "plan")
}

func (d *demo) first() error {
	d.title("The first sync")
	return d.pass(passFirst, "sync")
}

func (d *demo) moved() error {
	e := d.world.stuff.moved
	d.title("One tag moves at the source")
	d.say("%s:%s now names another image, with one layer of its own.", e.Repo, strings.Join(e.Tags, ", "))
	if err := d.world.move(); err != nil {
		return err
	}
	return d.pass(passMoved, "sync")
}

func (d *demo) unchanged() error {
	d.title("Nothing has changed")
	return d.pass(passUnchanged, "sync")
}

func (d *demo) check() error {
	d.title("Is every replica complete and equal?")
	if err := d.pass(passCheck, "check"); err != nil {
		return err
	}
	err := d.world.verify()
	d.claims = append(d.claims, claim{
		Text:  "Both replicas are complete and equal to the source, to the last byte, by the registries' own stores.",
		Holds: err == nil,
	})
	if err != nil {
		fmt.Fprintln(d.stderr, err)
	}
	return nil
}

// pass runs one of transship's commands, as anybody would type it, and keeps
// what the registries saw.
func (d *demo) pass(name, command string) error {
	fmt.Fprintf(d.story, "\n%s\n", d.style.bold("$ transship "+command))
	p, err := d.world.measure(name, func() error {
		args := append([]string{command}, d.world.flags(command)...)
		if code := d.transship(args, strings.NewReader(""), d.story, d.stderr); code != 0 {
			return fmt.Errorf("transship %s ended with exit code %d", command, code)
		}
		return nil
	})
	d.passes = append(d.passes, p)
	return err
}

// flags are what a command is run with besides its name.
func (w *world) flags(command string) []string {
	flags := []string{"--config", w.path(policyFile), "--state", w.path(stateFile)}
	if command == "sync" {
		flags = append(flags, "--spool-dir", w.path(spoolDir), "--spool-size", spoolSize, "--grace", "3s")
	}
	return flags
}

func (d *demo) title(text string) {
	fmt.Fprintf(d.story, "\n%s\n", d.style.bold("── "+text+" "+strings.Repeat("─", max(0, lineWidth-4-len(text)))))
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.story, format+"\n", args...) }
