package policy

import (
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
)

// The files of the types, whose comments are the schema's and the reference's words.
var (
	//go:embed set.go
	setSource string
	//go:embed registry.go
	registrySource string
	//go:embed rule.go
	ruleSource string
	//go:embed cloud.go
	cloudSource string
	//go:embed federated.go
	federatedSource string
	//go:embed pace.go
	paceSource string
)

// comments are the doc comments of the policy's types and their fields, by Type
// and Type.Field, each on one line.
type comments map[string]string

func readComments() (comments, error) {
	all := comments{}
	for _, source := range []string{setSource, registrySource, ruleSource, cloudSource, federatedSource, paceSource} {
		file, err := parser.ParseFile(token.NewFileSet(), "", source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("read the policy's comments: %w", err)
		}
		for _, decl := range file.Decls {
			if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.TYPE {
				all.read(g)
			}
		}
	}
	return all, nil
}

func (c comments) read(g *ast.GenDecl) {
	for _, spec := range g.Specs {
		t, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		c[t.Name.Name] = oneLine(g.Doc.Text())
		fields, ok := t.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range fields.Fields.List {
			for _, name := range f.Names {
				c[t.Name.Name+"."+name.Name] = oneLine(f.Doc.Text())
			}
		}
	}
}

// of returns the comment of a field, or of the type itself if field is "".
func (c comments) of(t reflect.Type, field string) string {
	return c[strings.TrimSuffix(t.Name()+"."+field, ".")]
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
