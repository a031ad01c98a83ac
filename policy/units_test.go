package policy

import (
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for _, tt := range []struct {
		text, prints string
		want         time.Duration
	}{
		{"90s", "1m30s", 90 * time.Second},
		{"1h30m", "1h30m", 90 * time.Minute},
		{"7d", "7d", 7 * day},
		{"2w", "14d", 14 * day},
		{"1w2d3h4m5s6ms7us8ns", "9d3h4m5s6ms7us8ns", 9*day + 3*time.Hour + 4*time.Minute + 5*time.Second + 6_007_008},
		{"1.5h", "1h30m", 90 * time.Minute},
		{"1h0.25s", "1h250ms", time.Hour + 250*time.Millisecond},
		{"24h", "1d", day},
		{"0s", "0s", 0},
	} {
		got, err := ParseDuration(tt.text)
		if err != nil || got.Std() != tt.want || got.String() != tt.prints {
			t.Errorf("%q is %v (%d), %v; want %s", tt.text, got, got, err, tt.prints)
		}
	}
	for _, text := range []string{
		"", "5", "h", "1", "-5m", "+5m", "5 m", "5M", "1h1h", "30m1h", "1.h", ".5h", "1.5h30m", "1..5s",
		"1mo", "1y", "999999999w", "9223372036854775807s", "1.5ns", "5m ", "٣s", "15e3s",
	} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %v; want an error", text, got)
		}
	}
}

func TestSize(t *testing.T) {
	for _, tt := range []struct {
		text, prints string
		want         Size
	}{
		{"0B", "0TB", 0}, {"512B", "512B", 512}, {"64KiB", "64KiB", 65536}, {"200MB", "200MB", 200e6},
		{"1.5GB", "1500MB", 1.5e9}, {"1KB", "1kB", 1000}, {"1000kB", "1MB", 1e6}, {"2TiB", "2TiB", 2 << 40},
		{"10GiB", "10GiB", 10 << 30},
	} {
		got, err := ParseSize(tt.text)
		if err != nil || got != tt.want || (got != 0 && got.String() != tt.prints) {
			t.Errorf("%q is %v (%d), %v; want %s", tt.text, got, got, err, tt.prints)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%v reads back as %v, %v", got, again, err)
		}
	}
	for _, text := range []string{"", "5", "MB", "5mb", "5 MB", "-1MB", "1.MB", "9999999999GB", "1.5B", "5MBit", "0x5B"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q is %v; want an error", text, got)
		}
	}
}

func TestRates(t *testing.T) {
	for _, tt := range []struct {
		text, prints string
		perSecond    float64
	}{
		{"40/s", "40/s", 40}, {"600/m", "600/m", 10}, {"600/min", "600/m", 10}, {"3600/h", "3600/h", 1},
		{"100/6h", "100/6h", 100.0 / 21600}, {"1/10s", "1/10s", 0.1}, {"86400/d", "86400/d", 1}, {"5/1s", "5/s", 5},
	} {
		got, err := ParseRate(tt.text)
		if err != nil || got.PerSecond() != tt.perSecond || got.String() != tt.prints {
			t.Errorf("%q is %v (%v a second), %v; want %s", tt.text, got, got.PerSecond(), err, tt.prints)
		}
	}
	for _, text := range []string{"", "40", "40/", "/s", "0/s", "-1/s", "4.5/s", "40/x", "40/0s", "40 /s", "5000000000/s"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("%q is %v; want an error", text, got)
		}
	}
	if got, err := ParseByteRate("64MiB/s"); err != nil || got != 64<<20 || got.String() != "64MiB/s" {
		t.Errorf("64MiB/s is %v, %v", got, err)
	}
	for _, text := range []string{"", "200MB", "0B/s", "MB/s", "200MB/m", "-1B/s"} {
		if got, err := ParseByteRate(text); err == nil {
			t.Errorf("%q is %v; want an error", text, got)
		}
	}
	if (Rate{}).PerSecond() != 0 || !(Rate{}).IsZero() {
		t.Error("the zero Rate is not none")
	}
}

func TestPlatform(t *testing.T) {
	for _, tt := range []struct {
		want  string
		image [4]string // os, architecture, variant, os.version
		match bool
	}{
		{"linux/arm64", [4]string{"linux", "arm64", "v8", ""}, true},
		{"linux/arm64", [4]string{"linux", "arm64", "", ""}, true},
		{"linux/arm64/v8", [4]string{"linux", "arm64", "", ""}, true},
		{"linux/arm64/v9", [4]string{"linux", "arm64", "v8", ""}, false},
		{"linux/arm64", [4]string{"linux", "arm", "v8", ""}, false},
		{"linux/arm/v7", [4]string{"linux", "arm", "v7", ""}, true},
		{"linux/arm/v7", [4]string{"linux", "arm", "v6", ""}, false},
		{"linux/arm", [4]string{"linux", "arm", "v6", ""}, true},
		{"linux/amd64", [4]string{"windows", "amd64", "", "10.0"}, false},
		{"windows/amd64", [4]string{"windows", "amd64", "", "10.0.20348.1"}, true},
		{"windows/amd64:10.0.20348", [4]string{"windows", "amd64", "", "10.0.20348.2113"}, true},
		{"windows/amd64:10.0.2034", [4]string{"windows", "amd64", "", "10.0.20348.2113"}, false},
		{"windows/amd64:10.0.20348", [4]string{"windows", "amd64", "", ""}, false},
		{"linux/amd64", [4]string{"unknown", "unknown", "", ""}, false},
	} {
		p, err := ParsePlatform(tt.want)
		if err != nil || p.String() != tt.want {
			t.Fatalf("%q is %v, %v", tt.want, p, err)
		}
		if got := p.Match(tt.image[0], tt.image[1], tt.image[2], tt.image[3]); got != tt.match {
			t.Errorf("%s matches %q: %v", tt.want, tt.image, got)
		}
	}
	for _, text := range []string{"", "linux", "linux/", "/amd64", "linux/amd64/", "linux/amd64:", "a/b/c/d", "Linux/amd64"} {
		if p, err := ParsePlatform(text); err == nil {
			t.Errorf("%q is %v; want an error", text, p)
		}
	}
	if ok, reason := (Platforms{}).Match("plan9", "mips", "", ""); !ok || reason == "" {
		t.Error("no list does not take all platforms")
	}
	if ok, _ := (Platforms{Only: []Platform{{OS: "linux", Architecture: "amd64"}}}).Match("linux", "s390x", "", ""); ok {
		t.Error("a platform that is not listed is taken")
	}
}

func TestPercent(t *testing.T) {
	for text, want := range map[string]float64{"0%": 0, "10%": 10, "2.5%": 2.5, "100%": 100} {
		if got, err := ParsePercent(text); err != nil || got.Of100 != want || got.IsZero() || got.String() != text {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "10", "%", "101%", "-1%", "1e1%", "NaN%", "Inf%", "10 %", "0x1p3%"} {
		if got, err := ParsePercent(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}
