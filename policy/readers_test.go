package policy

import (
	"strings"
	"testing"
)

// Listed registries come first, by price; others only if both prices are given and
// theirs is below the source's.
func TestReaders(t *testing.T) {
	const rules = `
rules:
  - {name: in, from: {registry: us}, to: [{registry: eu}, {registry: ap}, {registry: free}, {registry: dear}, {registry: plain}]}
`
	for _, tt := range []struct{ name, us, readFrom, want string }{
		{"no price at the source", "", "", ""},
		{"a source that is free", ", egressPrice: 0", "", ""},
		{"cheaper", ", egressPrice: 0.09", "", "free? ap? eu?"},
		{"not cheaper", ", egressPrice: 0.02", "", "free? ap?"},
		{"listed without prices", "", "plain, eu", "plain eu"},
		{"listed by price", ", egressPrice: 0.01", "dear, eu, ap", "ap eu dear free?"},
		{"listed in order at one price", "", "eu, same", "eu same"},
		{"listed and cheaper", ", egressPrice: 0.09", "eu", "eu free? ap?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := mustParse(t, `
registries:
  us: {host: us.example.com`+tt.us+`}
  us2: {host: us.example.com, egressPrice: 0.001}
  eu: {host: eu.example.com, egressPrice: 0.02}
  same: {host: same.example.com, egressPrice: 0.02}
  ap: {host: ap.example.com, egressPrice: 0.015}
  free: {host: free.example.com, egressPrice: 0}
  dear: {host: dear.example.com, egressPrice: 0.5}
  plain: {host: plain.example.com}
  to: {host: to.example.com, egressPrice: 0}
  to2: {host: to.example.com, egressPrice: 0}
`+rules+`
  - {name: same, from: {registry: us}, to: [{registry: same, repository: x}]}
  - {name: out, from: {registry: us}, to: [{registry: to, readFrom: [`+tt.readFrom+`]}]}
`)
			r, _ := s.Rule("out")
			var got []string
			for _, reader := range s.Readers(r, r.To[0]) {
				name := reader.Registry
				if !reader.Listed {
					name += "?"
				}
				got = append(got, name)
			}
			want := tt.want
			if text := strings.Join(got, " "); strings.ReplaceAll(text, " same?", "") != want {
				t.Errorf("got %s\nwant %s", text, want)
			}
		})
	}
}

// Many cheap registries are not all asked about.
func TestReadersAreBounded(t *testing.T) {
	s := &Set{Registries: map[string]Registry{}}
	price := func(usd float64) *float64 { return &usd }
	s.Registries["us"] = Registry{Host: "us", EgressPrice: price(1)}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		s.Registries[name] = Registry{Host: name, EgressPrice: price(0)}
	}
	if got := s.Readers(Rule{From: Source{Registry: "us"}}, Target{Registry: "g"}); len(got) != maxReaders || got[0].Registry != "a" {
		t.Errorf("got %v", got)
	}
}

func TestExplainReaders(t *testing.T) {
	s := mustParse(t, `
registries:
  us: {host: us.example.com, egressPrice: 0.09}
  eu: {host: eu.example.com, egressPrice: 0.02}
  ap: {host: ap.example.com}
  to: {host: to.example.com}
rules:
  - {name: out, from: {registry: us}, to: [{registry: eu}, {registry: ap}, {registry: to, readFrom: [eu, ap]}]}
`)
	got := s.Explain(Question{Registry: "us", Repository: "app", Tag: "v1"})[0].String()
	for _, want := range []string{
		"  to eu: app:v1\n",
		"  to ap: app:v1; layers are read from eu (0.02 USD per GB) where it is known to hold them, else from us (0.09 USD per GB)\n",
		"  to to: app:v1; layers are read from ap, eu (0.02 USD per GB) where it is known to hold them, else from us (0.09 USD per GB)\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant in it\n%s", got, want)
		}
	}
}
