package providers

import "time"

// Pulls is how many manifests a host lets an account, or an address, read in a
// time; asking for a digest (HEAD) counts as none. Others share it with us.
type Pulls struct {
	Limit  int           `json:"limit"`
	Window time.Duration `json:"window"` // nanoseconds
	// Reserve is how many of Limit are left to others.
	Reserve int `json:"reserve"`
	// Left is how many we may read now: what the host last said without Reserve,
	// less those that are being read.
	Left int `json:"left"`
	// Until is when there may be more, where nothing is left; zero otherwise.
	Until time.Time `json:"until,omitzero"`
}

// Each is how many manifests we may read in one window.
func (p Pulls) Each() int { return max(1, p.Limit-p.Reserve) }

// Windows is how many windows it takes to read n manifests, beginning with a whole one.
func (p Pulls) Windows(n int) int { return (max(0, n) + p.Each() - 1) / p.Each() }
