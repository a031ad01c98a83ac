package policy

import (
	"fmt"
	"text/template"
)

// A Mapper says under which names a target keeps what a source has. It is safe
// for concurrent use.
type Mapper struct {
	repository, tag         *template.Template // nil: the source's name
	repositoryText, tagText string
}

func repositoryFields() []string { return []string{"Repository", "Registry"} }
func tagFields() []string        { return []string{"Tag", "Repository", "Registry"} }

// Mapper compiles t's templates. It fails only for a policy that was not validated.
func (t Target) Mapper() (*Mapper, error) {
	m := &Mapper{repositoryText: t.Repository, tagText: t.Tag}
	var err error
	if t.Repository != "" {
		if m.repository, err = compileTemplate(t.Repository, repositoryFields()); err != nil {
			return nil, fmt.Errorf("repository: %w", err)
		}
	}
	if t.Tag != "" {
		if m.tag, err = compileTemplate(t.Tag, tagFields()); err != nil {
			return nil, fmt.Errorf("tag: %w", err)
		}
	}
	return m, nil
}

// Repository returns the target's repository for one of the source's, whose
// registry has the given name in the policy. The result keeps the grammar of the
// OCI distribution-spec; the error names source, template and result.
func (m *Mapper) Repository(registry, repo string) (string, error) {
	if m.repository == nil {
		if err := checkRepository(repo); err != nil {
			return "", fmt.Errorf("repository %s cannot keep its name at the target: %w; give the target a repository template, or exclude it", quote(repo), err)
		}
		return repo, nil
	}
	name, err := fill(m.repository, place{Registry: registry, Repository: repo})
	if err == nil {
		err = checkRepository(name)
	}
	if err != nil {
		return "", fmt.Errorf("template %s does not fit repository %s: %w", quote(m.repositoryText), quote(repo), err)
	}
	return name, nil
}

// Tag returns the target's tag for a tag of a source repository, on the same
// terms as Repository.
func (m *Mapper) Tag(registry, repo, tag string) (string, error) {
	if m.tag == nil {
		return tag, nil
	}
	name, err := fill(m.tag, place{registry, repo, tag})
	if err == nil {
		err = checkTag(name)
	}
	if err != nil {
		return "", fmt.Errorf("template %s does not fit %s: %w", quote(m.tagText), quote(repo+":"+tag), err)
	}
	return name, nil
}

// MapRepository is [Mapper.Repository] for a single question.
func (r Rule) MapRepository(t Target, sourceRegistry, repo string) (string, error) {
	m, err := t.Mapper()
	if err != nil {
		return "", err
	}
	return m.Repository(sourceRegistry, repo)
}

// MapTag is [Mapper.Tag] for a single question.
func (r Rule) MapTag(t Target, sourceRegistry, repo, tag string) (string, error) {
	m, err := t.Mapper()
	if err != nil {
		return "", err
	}
	return m.Tag(sourceRegistry, repo, tag)
}
