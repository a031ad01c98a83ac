package policy

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the machine may have none
)

// TestWindows reads: at a time, a rule with these windows opens at, and closes at.
// A week from Monday, 2024-01-01, in UTC.
func TestWindows(t *testing.T) {
	for _, tt := range []struct{ windows, at, opens, closes string }{
		{"", "Mon 12:00", "Mon 12:00", ""},
		{"22:00-06:00", "Mon 12:00", "Mon 22:00", ""},
		{"22:00-06:00", "Mon 22:00", "Mon 22:00", "Tue 06:00"},
		{"22:00-06:00", "Tue 05:59", "Tue 05:59", "Tue 06:00"},
		{"22:00-06:00", "Tue 06:00", "Tue 22:00", ""},
		{"Sat,Sun 00:00-24:00", "Mon 12:00", "Sat 00:00", ""},
		{"Sat,Sun 00:00-24:00", "Sat 23:59", "Sat 23:59", "Mon2 00:00"},
		{"Fri-Mon 23:00-01:00", "Tue 00:30", "Tue 00:30", "Tue 01:00"},
		{"Fri-Mon 23:00-01:00", "Tue 01:00", "Fri 23:00", ""},
		{"08:00-10:00; 10:00-12:00", "Mon 09:00", "Mon 09:00", "Mon 12:00"},
		{"08:00-10:00; 09:00-09:30", "Mon 09:00", "Mon 09:00", "Mon 10:00"},
		{"00:00-24:00", "Mon 09:00", "Mon 09:00", "never"},
		{"CRON_TZ=Asia/Tokyo Tue 08:00-09:00", "Mon 12:00", "Mon 23:00", ""},
		{"Mon 08:00-09:00", "Mon 09:00", "Mon2 08:00", ""},
	} {
		r := Rule{}
		for w := range strings.SplitSeq(tt.windows, "; ") {
			if w != "" {
				r.Windows = append(r.Windows, w)
			}
		}
		at := weekTime(t, tt.at)
		if got, want := r.Opens(at), weekTime(t, tt.opens); !got.Equal(want) || r.Open(at) != want.Equal(at) {
			t.Errorf("%q at %s opens %s (open %v), want %s", tt.windows, tt.at, got, r.Open(at), want)
		}
		want := time.Time{}
		if tt.closes != "" && tt.closes != "never" {
			want = weekTime(t, tt.closes)
		}
		if got := r.Closes(at); !got.Equal(want) {
			t.Errorf("%q at %s closes %s, want %s", tt.windows, tt.at, got, want)
		}
	}
}

func weekTime(t *testing.T, text string) time.Time {
	t.Helper()
	name, clock, _ := strings.Cut(text, " ")
	days := map[string]int{"Mon": 1, "Tue": 2, "Fri": 5, "Sat": 6, "Sun": 7, "Mon2": 8}
	minutes, ok := parseClock(clock)
	if !ok || days[name] == 0 {
		t.Fatalf("%q is no time of the week", text)
	}
	return time.Date(2024, 1, days[name], 0, minutes, 0, 0, time.UTC)
}

// TestWindowInSummerTime holds that a window goes by the clock on the wall: the
// night in which an hour is lost is an hour shorter.
func TestWindowInSummerTime(t *testing.T) {
	r := Rule{Windows: []string{"CRON_TZ=Europe/Paris 22:00-06:00"}}
	night := time.Date(2024, 3, 30, 23, 0, 0, 0, time.UTC) // 2024-03-31 is the change
	if got, want := r.Closes(night), time.Date(2024, 3, 31, 4, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("closes %s, want %s", got.UTC(), want)
	}
	if got, want := r.Opens(night.Add(8*time.Hour)), time.Date(2024, 3, 31, 20, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("opens %s, want %s", got.UTC(), want)
	}
}

// TestBadWindows holds that each of them is refused with an example.
func TestBadWindows(t *testing.T) {
	for _, text := range []string{"", "22", "22:00", "22:00-", "-06:00", "24:00-01:00", "22:00-25:00", "22:60-23:00", "8:00-9:00",
		"08:00-08:00", "Moon 08:00-09:00", "Mon- 08:00-09:00", "Mon Tue 08:00-09:00", "CRON_TZ= 08:00-09:00", "TZ=UTC", "+8:00-09:00",
		strings.Repeat("Mon,", 100) + "Mon 08:00-09:00"} {
		if w, err := parseWindow(text); err == nil {
			t.Errorf("%q is %+v; want an error", text, w)
		}
	}
}

// FuzzWindow: a window opens within eight days, is open then, and closes later.
func FuzzWindow(f *testing.F) {
	f.Add("22:00-06:00", int64(1704067200))
	f.Add("CRON_TZ=Europe/Paris Mon-Fri,Sun 20:00-06:00", int64(1711839600))
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		if _, err := parseWindow(text); err != nil {
			return
		}
		at := time.Unix(unix%(1<<33), 0).UTC()
		r := Rule{Windows: []string{text}}
		opens := r.Opens(at)
		if opens.Before(at) || opens.Sub(at) > 9*day || !r.Open(opens) {
			t.Fatalf("%q at %s opens %s", text, at, opens)
		}
		if closes := r.Closes(opens); !closes.IsZero() && !closes.After(opens) {
			t.Errorf("%q opens %s and closes %s", text, opens, closes)
		}
	})
}
