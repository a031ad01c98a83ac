package gartest

import (
	"fmt"
	"strings"
)

// A place is what a path of the data plane means.
type place struct {
	project    string // example.com:acme where the path says example.com/acme
	repository string // "" where the path is too short to name one
	image      string // "" for the repository itself
}

func (p place) key() string { return p.project + "/" + p.repository }

// resource is the repository's name in the Admin API.
func (s *Server) resource(key string) string {
	project, id, _ := strings.Cut(key, "/")
	return fmt.Sprintf("projects/%s/locations/%s/repositories/%s", project, s.location, id)
}

// place reads project/repository/image, or project/image at a gcr.io host. The
// project of a domain has two elements.
func (s *Server) place(path string) place {
	project, rest, _ := strings.Cut(path, "/")
	if strings.Contains(project, ".") {
		id, more, _ := strings.Cut(rest, "/")
		project, rest = project+":"+id, more
	}
	if s.gcr != "" {
		return place{project, s.gcr, rest}
	}
	repository, image, _ := strings.Cut(rest, "/")
	return place{project, repository, image}
}

// prefix is what the paths of a repository's images begin with.
func (s *Server) prefix(key string) string {
	project, id, _ := strings.Cut(key, "/")
	project = strings.Replace(project, ":", "/", 1)
	if s.gcr != "" {
		return project + "/"
	}
	return project + "/" + id + "/"
}

// packages lists the images of a repository, sorted.
func (s *Server) packages(key string) (images []string) {
	prefix := s.prefix(key)
	for _, name := range s.Repositories() {
		if image, ok := strings.CutPrefix(name, prefix); ok && image != "" {
			images = append(images, image)
		}
	}
	return images
}

// escape writes a package's name as the Admin API has it in resource names.
func escape(image string) string { return strings.ReplaceAll(image, "/", "%2F") }

// unescape reads it, once or twice encoded.
func unescape(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "%2F", "/"), "%2f", "/")
}
