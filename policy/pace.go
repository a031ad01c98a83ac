package policy

import (
	"time"
)

// Bounds on the bytes that flow, of all registries together and of links. Replicas that
// share a database keep to them together.
type Flow struct {
	// Bytes a second that are read from all registries together, and as many that are
	// written to all of them. Layouts on disk do not count.
	Bytes ByteRate `json:"bytes,omitempty"`
	// Other rates at some times.
	Hours []Hours `json:"hours,omitempty"`
	// Bounds from one registry to another.
	Links []Link `json:"links,omitempty"`
}

// A bound on what goes to one registry of the images of another, whoever of them is
// read. What is mounted, or imported by the target itself, does not count.
type Link struct {
	// The source, by the name of its registry.
	From string `json:"from" jsonschema:"required"`
	// The target, by the name of its registry.
	To string `json:"to" jsonschema:"required"`
	// Bytes a second.
	Bytes ByteRate `json:"bytes,omitempty"`
	// Other rates at some times.
	Hours []Hours `json:"hours,omitempty"`
}

// A byte rate at some times. Of several whose windows are open the first counts; at all
// other times bytes counts that stands beside hours, and without it there is no bound. A
// rate changes for what is under way, too.
type Hours struct {
	// When, as the windows of a rule: 08:00-18:00, "Sat,Sun 00:00-24:00" or
	// "CRON_TZ=Europe/Paris Mon-Fri 08:00-18:00".
	Windows []string `json:"windows" jsonschema:"required,minItems=1" policy:"window"`
	// Bytes a second.
	Bytes ByteRate `json:"bytes" jsonschema:"required"`
}

// A Pace is a byte rate by the time of day.
type Pace struct {
	bytes ByteRate
	hours []paceHours
}

type paceHours struct {
	windows []window
	bytes   ByteRate
}

// Pace is the rate of all registries together.
func (f Flow) Pace() Pace { return paceOf(f.Bytes, f.Hours) }

// Pace is the rate of the link.
func (l Link) Pace() Pace { return paceOf(l.Bytes, l.Hours) }

// Pace is the rate of bytes in each direction.
func (l Limits) Pace() Pace { return paceOf(l.Bytes, l.Hours) }

func paceOf(bytes ByteRate, hours []Hours) Pace {
	p := Pace{bytes: bytes}
	for _, h := range hours {
		p.hours = append(p.hours, paceHours{parseWindows(h.Windows), h.Bytes})
	}
	return p
}

// At returns the bytes a second at a time, 0 for no bound, and until when that holds;
// zero is for ever.
func (p Pace) At(at time.Time) (bytes ByteRate, until time.Time) {
	edge := func(t time.Time) {
		if t.After(at) && (until.IsZero() || t.Before(until)) {
			until = t
		}
	}
	for _, h := range p.hours {
		if opens := opensOf(h.windows, at); opens.After(at) {
			edge(opens)
			continue
		}
		edge(closesOf(h.windows, at))
		return h.bytes, until
	}
	return p.bytes, until
}
