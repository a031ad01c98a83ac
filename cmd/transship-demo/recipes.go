package main

// recipes are the layers of the demo: what every image shares, what some share,
// and what is an image's own.
func recipes(small bool) []recipe {
	all := []recipe{
		{name: "runtime", below: src("runtime", "internal"), take: source},
		{name: "amd64", below: src("runtime", "internal"), take: sourceFor("amd64")},
		{name: "arm64", below: src("runtime", "internal"), take: sourceFor("arm64")},
		{name: "std", below: src("fmt", "io", "os", "strings", "bytes", "bufio", "slices", "strconv", "time", "reflect", "errors", "context", "sync", "path", "regexp", "encoding", "text", "log")},
		{name: "net", below: src("net", "crypto", "vendor"), take: source},
		{name: "gofmt", below: src("cmd/gofmt", "go/format", "go/printer", "go/scanner")},
		{name: "compile", below: src("cmd/asm")},
		{name: "shop-1", below: src("database", "html")},
		{name: "shop-2", below: src("database", "html", "mime")},
		{name: "shop-3", below: src("database", "html", "mime", "expvar")},
		{name: "cart-1", below: src("image", "math")},
		{name: "cart-2", below: src("image", "math", "hash")},
		{name: "search", below: src("index", "unicode", "sort", "container")},
		{name: "docs", below: []string{"doc", "LICENSE", "README.md", "CONTRIBUTING.md", "SECURITY.md"}},
	}
	if !small {
		all = extend(all, map[string][]string{
			"gofmt":   {"bin"},
			"compile": append(src("cmd/compile", "cmd/internal", "cmd/link"), "pkg/tool"),
			"search":  src("cmd/vendor", "debug", "archive", "compress"),
			"docs":    {"api"},
		})
	}
	for i := range all {
		all[i].part = i
	}
	return all
}

// src names folders of the standard library.
func src(names ...string) []string {
	var below []string
	for _, n := range names {
		below = append(below, "src/"+n)
	}
	return below
}

// extend adds folders to the recipes that more names.
func extend(all []recipe, more map[string][]string) []recipe {
	for i := range all {
		all[i].below = append(all[i].below, more[all[i].name]...)
	}
	return all
}
