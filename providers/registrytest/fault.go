package registrytest

import (
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"
)

// A Fault is one way in which one request fails. The zero value is no fault.
type Fault struct {
	// Delay holds the request back before anything else happens.
	Delay time.Duration

	// Status, if it is not 0, is the answer, with an error body of Code and
	// Message; the registry itself never sees the request.
	Status        int
	Code, Message string
	// RetryAfter is the header of that name as it is sent: seconds or a date.
	RetryAfter string
	// HTML is a page to send as the body instead of the error envelope, with
	// Status or, if that is 0, with 200: a proxy's or a captive portal's answer.
	HTML string

	// JSON is the same for a body that is no page, such as a token service's.
	JSON string
	// Location is the header of that name: with a Status of 3xx where the client is
	// to go, otherwise in the place of the one that the answer has.
	Location string
	// Pretend has a write be answered as if it had been carried out, and does
	// nothing: a manifest, an upload's end, a mount.
	Pretend bool

	// Break is what happens to a body, at its byte At.
	Break Break
	At    int64
	// For is how long a Stall lasts; 0 is until [Server.Release] or until the
	// client goes away.
	For time.Duration
}

// A Break is one way in which a body breaks. Those of answers apply to the first
// answer that has a body of more than At bytes; a shorter one is left whole.
type Break string

// The ways in which a body breaks. Reset, Truncate and Stall with At 0 break
// before the first byte of the body but after the header.
const (
	Whole        Break = ""
	Reset        Break = "reset"         // the connection is reset after At bytes of the answer
	ResetUpload  Break = "reset upload"  // the connection is reset after At bytes of the request
	Truncate     Break = "truncate"      // the connection is closed in order after At bytes
	Short        Break = "short"         // Content-Length is At, and so is the body
	Long         Break = "long"          // Content-Length is At more than the body
	Flip         Break = "flip"          // the lowest bit of byte At is flipped
	Stall        Break = "stall"         // the answer stops after At bytes
	StallUpload  Break = "stall upload"  // nothing more of the request is read after At bytes
	LoseResponse Break = "lose response" // the request is carried out, and the connection is reset
	Endless      Break = "endless"       // no Content-Length, and after the body the last byte again and again
	Drip         Break = "drip"          // one byte each For, from At on
	DripHeader   Break = "drip header"   // the answer is a header that never ends, one byte each For
	Gzip         Break = "gzip"          // the body is compressed, though nobody asked for it
)

// A Rule makes some requests fail: those of the classes (none is all), of the
// repository ("" is any), with probability Rate, at most Max times (0 is no end).
// Which ones depends on the seed, the class, the path and how often that path was
// asked for; not on the time, nor on what others do meanwhile.
type Rule struct {
	Classes []Class
	Repo    string
	Rate    float64
	Max     int64
	Fault   Fault
	// Within draws Fault.At anew for each request, from 0 up to this many bytes.
	Within int64
}

// Throttled is a 429 with this Retry-After, "" for none.
func Throttled(retryAfter string) Fault {
	return Fault{Status: 429, Code: "TOOMANYREQUESTS", Message: "Rate exceeded", RetryAfter: retryAfter}
}

// Unavailable is a 503 with this Retry-After, "" for none.
func Unavailable(retryAfter string) Fault {
	return Fault{Status: 503, Code: "UNAVAILABLE", Message: "service unavailable", RetryAfter: retryAfter}
}

// A faulter decides which requests fail. Safe for concurrent use.
type faulter struct {
	mu    sync.Mutex
	asked map[string]uint64 // by rule, class and path: how often
	fired map[int]int64     // by rule
	next  []planned
}

// A planned fault is for the next requests of a class.
type planned struct {
	class Class
	left  int
	fault Fault
}

func newFaulter() *faulter { return &faulter{asked: map[string]uint64{}, fired: map[int]int64{}} }

// plan adds a fault for the next n requests of a class.
func (f *faulter) plan(n int, class Class, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = append(f.next, planned{class, n, fault})
}

// pick returns the fault of a request, if it is to have one.
func (f *faulter) pick(q *Quirks, rt route, path string) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.next {
		if p := &f.next[i]; p.class == rt.class {
			fault := p.fault
			if p.left--; p.left <= 0 {
				f.next = slices.Delete(f.next, i, i+1)
			}
			return fault, true
		}
	}
	for i, rule := range q.Faults {
		if fault, ok := f.try(q.Seed, i, rule, rt, path); ok {
			return fault, true
		}
	}
	return Fault{}, false
}

func (f *faulter) try(seed uint64, i int, rule Rule, rt route, path string) (Fault, bool) {
	if len(rule.Classes) > 0 && !slices.Contains(rule.Classes, rt.class) {
		return Fault{}, false
	}
	if rule.Repo != "" && rule.Repo != rt.repo {
		return Fault{}, false
	}
	key := fmt.Sprintf("%d %s %s", i, rt.class, path)
	n := f.asked[key]
	f.asked[key]++
	if rule.Max > 0 && f.fired[i] >= rule.Max || chance(seed, key, n) >= rule.Rate {
		return Fault{}, false
	}
	f.fired[i]++
	fault := rule.Fault
	if rule.Within > 0 {
		fault.At = int64(chance(seed+1, key, n) * float64(rule.Within))
	}
	return fault, true
}

// chance is a number in [0, 1) that depends on its arguments alone.
func chance(seed uint64, key string, n uint64) float64 {
	sum := fnv.New64a()
	_, _ = fmt.Fprintf(sum, "%d %s %d", seed, key, n)
	return float64(mix(sum.Sum64())>>11) / (1 << 53)
}

// mix spreads a hash's entropy over all bits (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
