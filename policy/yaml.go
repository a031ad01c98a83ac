package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxFile is the size in bytes above which no policy file is read.
const MaxFile = 1 << 20

// readYAML returns the one document in data. Its problems have no path.
func readYAML(file string, data []byte) (*yaml.Node, *Problem) {
	if len(data) > MaxFile {
		return nil, &Problem{File: file, Message: fmt.Sprintf(
			"is larger than the %s that a policy file may have; split it, and name its folder instead", Size(MaxFile))}
	}
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, emptyFile(file)
	case err != nil:
		return nil, notYAML(file, data, err)
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		return nil, &Problem{File: file, Line: max(more.Line, 1), Column: max(more.Column, 1),
			Message: "a second document begins here; a policy file has one: put it into a file of its own"}
	case !errors.Is(err, io.EOF):
		return nil, notYAML(file, data, err)
	}
	if len(doc.Content) != 1 || doc.Content[0].ShortTag() == "!!null" {
		return nil, emptyFile(file)
	}
	return doc.Content[0], nil
}

func emptyFile(file string) *Problem {
	return &Problem{File: file, Line: 1, Column: 1,
		Message: `is empty; a policy has registries and rules: "transship config init" writes an example`}
}

// notYAML says where and why data is not YAML, without quoting it: it may be a
// password that someone forgot to put in quotes.
func notYAML(file string, data []byte, err error) *Problem {
	reason := strings.TrimPrefix(err.Error(), "yaml: ")
	p := &Problem{File: file, Line: 1}
	if rest, ok := strings.CutPrefix(reason, "line "); ok {
		number, after, _ := strings.Cut(rest, ": ")
		p.Line, _ = strconv.Atoi(number)
		reason = after
		if strings.HasPrefix(reason, "did not find expected") {
			p.Line++ // the parser counts lines from 0, the scanner from 1
		}
	}
	if name, ok := strings.CutPrefix(reason, "unknown anchor '"); ok {
		name, _, _ = strings.Cut(name, "'")
		before, _, _ := bytes.Cut(data, []byte("*"+name))
		p.Line = 1 + bytes.Count(before, []byte("\n"))
		p.Column = len(before) - bytes.LastIndexByte(before, '\n')
		reason = "an alias (*name) has no anchor (&name); put text that begins with * in quotes"
	}
	p.Message = "is not YAML: " + reason
	return p
}
