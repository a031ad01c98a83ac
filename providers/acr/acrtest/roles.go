package acrtest

import (
	"path"
	"slices"
)

// A Role is what somebody may do at a registry, by Azure's names.
type Role string

// The roles. Those of repositories count in ABAC mode only, the others only
// without it.
const (
	AcrPull               Role = "AcrPull"
	AcrPush               Role = "AcrPush"
	AcrDelete             Role = "AcrDelete"
	RepositoryReader      Role = "Container Registry Repository Reader"
	RepositoryWriter      Role = "Container Registry Repository Writer"
	RepositoryContributor Role = "Container Registry Repository Contributor"
	CatalogLister         Role = "Container Registry Repository Catalog Lister"
	// Importer counts at Azure's resource manager.
	Importer Role = "Container Registry Data Importer and Data Reader"
)

var roles = map[Role]struct {
	abac    bool
	catalog bool
	actions []string
}{
	AcrPull:               {false, true, []string{"pull", "metadata_read"}},
	AcrPush:               {false, true, []string{"pull", "push", "metadata_read", "metadata_write"}},
	AcrDelete:             {false, true, []string{"delete"}},
	RepositoryReader:      {true, false, []string{"pull", "metadata_read"}},
	RepositoryWriter:      {true, false, []string{"pull", "push", "metadata_read", "metadata_write"}},
	RepositoryContributor: {true, false, []string{"pull", "push", "delete", "metadata_read", "metadata_write"}},
	CatalogLister:         {true, true, nil},
	Importer:              {false, true, []string{"pull", "metadata_read"}},
}

type assignment struct {
	role     Role
	patterns []string // of repositories, "*" also over slashes; none is all
}

// Assign gives a client a role, in ABAC mode for the repositories that one of the
// patterns matches, all if there is none.
func (s *Server) Assign(clientID string, role Role, patterns ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles[clientID] = append(s.roles[clientID], assignment{role, patterns})
}

// Unassign takes all roles away.
func (s *Server) Unassign(clientID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.roles, clientID)
}

// may reports whether a client may do an action with a resource,
// "repository:name" or "registry:catalog". The lock is held.
func (s *Server) may(clientID, kind, name, action string) bool {
	if s.quirks.AnonymousPull && kind == "repository" && (action == "pull" || action == "metadata_read") {
		return true
	}
	return slices.ContainsFunc(s.roles[clientID], func(a assignment) bool {
		r := roles[a.role]
		if r.abac != s.quirks.ABAC {
			return false
		}
		if kind == "registry" {
			return r.catalog && name == "catalog" && action == "*"
		}
		return slices.Contains(r.actions, action) && a.covers(name)
	})
}

func (a assignment) covers(repo string) bool {
	return len(a.patterns) == 0 || slices.ContainsFunc(a.patterns, func(p string) bool {
		ok, err := path.Match(p, repo)
		return err == nil && ok
	})
}
