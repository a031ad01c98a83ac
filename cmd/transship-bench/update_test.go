package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUpdate(t *testing.T) {
	const before = "# Title\n\nWords.\n\n<!-- bench -->\nold\n<!-- /bench -->\n\nMore.\n\n<!-- bench summary -->\n<!-- /bench summary -->\nEnd.\n"
	file := filepath.Join(t.TempDir(), "x.md")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(before)
	var texts []string
	for range 2 { // the second time changes nothing
		if err := update(file, sampleReport()); err != nil {
			t.Fatal(err)
		}
		raw, _ := os.ReadFile(file)
		texts = append(texts, string(raw))
	}
	got := texts[0]
	if texts[1] != got {
		t.Errorf("not the same again:\n%s", texts[1])
	}
	for _, want := range []string{"# Title\n\nWords.\n\n<!-- bench -->\n\nMachine:", "## first: first sync", "<!-- /bench -->\n\nMore.", "| work | transship |", "<!-- /bench summary -->\nEnd.\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "old") {
		t.Errorf("what was between the marks is still there:\n%s", got)
	}
	for text, want := range map[string]string{"no marks": "has no <!-- bench -->", "<!-- bench -->\nno end": "has no <!-- /bench -->"} {
		write(text)
		if err := update(file, sampleReport()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if raw, _ := os.ReadFile(file); string(raw) != text {
			t.Errorf("a file that was refused has changed: %s", raw)
		}
	}
}
