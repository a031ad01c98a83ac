package main

import (
	"io"
	"os"
)

// A style marks text on a terminal, and leaves it alone elsewhere.
type style struct{ on bool }

// styleFor looks whether a person watches w (https://no-color.org is honoured).
func styleFor(w io.Writer) style {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return style{}
	}
	info, err := f.Stat()
	return style{err == nil && info.Mode()&os.ModeCharDevice != 0}
}

func (s style) bold(text string) string  { return s.mark("1", text) }
func (s style) dim(text string) string   { return s.mark("2", text) }
func (s style) green(text string) string { return s.mark("32", text) }
func (s style) red(text string) string   { return s.mark("31", text) }

func (s style) mark(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
