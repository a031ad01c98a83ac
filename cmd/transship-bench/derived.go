package main

import (
	"fmt"

	"github.com/transship/transship/providers/registrytest/content"
)

// A derived row is what a tool would ask for that cannot be measured here: computed
// from what it was seen to ask of plain registries, for each repository and tag.
type derived struct {
	Source int64  `json:"source"`
	Target int64  `json:"target"` // all targets together
	How    string `json:"how"`
}

// perPass is what one pass of a tool over what is in step takes, for each repository
// and each tag, at the source and at the target: measured at 400 tags in 10
// repositories (scenario unchanged), where the figures fit to the request.
var perPass = map[string]struct {
	source, target struct{ repository, tag int64 }
}{
	"regsync": {pair(1, 4), pair(0, 2)},
	"skopeo":  {pair(2, 3), pair(0, 2)},
	"crane":   {pair(2, 1), pair(1, 1)},
}

func pair(repository, tag int64) struct{ repository, tag int64 } {
	return struct{ repository, tag int64 }{repository, tag}
}

// derive computes a tool's requests; nil for one of which nothing is known. Each
// target is a pass of its own.
func derive(tool string, s content.Shape, targets int) *derived {
	of, ok := perPass[tool]
	if !ok {
		return nil
	}
	sum := func(p struct{ repository, tag int64 }) int64 {
		return int64(targets) * (p.repository*int64(s.Repositories) + p.tag*int64(s.Tags))
	}
	return &derived{sum(of.source), sum(of.target), fmt.Sprintf("derived, not measured: %d passes of %s at the source, %s at the target",
		targets, formula(of.source), formula(of.target))}
}

func formula(p struct{ repository, tag int64 }) string {
	if p.repository == 0 {
		return fmt.Sprintf("%d a tag", p.tag)
	}
	return fmt.Sprintf("%d a repository + %d a tag", p.repository, p.tag)
}
