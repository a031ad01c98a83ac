package policy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// noon is the time of every selection in tests.
func noon() time.Time { return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC) }

// tagsOf reads "v1@2h v2~3d v3": name, @ pushed that long ago, ~ first seen.
func tagsOf(t *testing.T, text string) []TagInfo {
	t.Helper()
	var tags []TagInfo
	for field := range strings.FieldsSeq(text) {
		tag := TagInfo{Name: field}
		if i := strings.IndexAny(field, "@~"); i > 0 {
			age, err := ParseDuration(field[i+1:])
			if err != nil {
				t.Fatal(err)
			}
			tag.Name = field[:i]
			if at := noon().Add(-age.Std()); field[i] == '@' {
				tag.Pushed = at
			} else {
				tag.FirstSeen = at
			}
		}
		tags = append(tags, tag)
	}
	return tags
}

func TestSelectTags(t *testing.T) {
	sig := "sha256-" + strings.Repeat("a", 64) + ".sig"
	for _, tt := range []struct{ name, filter, tags, want string }{
		{"everything", "{}", "v1 latest", "v1 latest"},
		{"globs", `{include: ["v*", latest], exclude: ["*-rc*"]}`, "v1 v2-rc1 latest main", "v1 latest"},
		{"regexps match whole tags", `{includeRegexp: ['\d+'], excludeRegexp: ['.*0']}`, "1 10 1a 22", "1 22"},
		{"globs and regexps are one list", `{include: ["v*"], includeRegexp: [main]}`, "v1 main mainly", "v1 main"},
		{"range", `{semver: ">=1.2 <2"}`, "v1.1 v1.2 1.9.9 v2.0 v1.3-rc1 latest", "v1.2 1.9.9"},
		{"range with pre-releases", `{semver: ">=1.2-0"}`, "v1.3-rc1 v1.1-rc1", "v1.3-rc1"},
		{"newest by version", `{newest: {count: 2, by: semver}}`, "v1.9 v1.10 v1.2 latest", "v1.9 v1.10"},
		{"newest after the other filters", `{exclude: ["v9"], newest: {count: 1, by: semver}}`, "v9 v2 v1", "v2"},
		{"newest waits for cool-down", `{minAge: 1h, newest: {count: 1, by: semver}}`, "v2@10m v1@2h", "v1"},
		{"equal versions by name", `{newest: {count: 1, by: semver}}`, "1.0 v1.0 1.0.0", "v1.0"},
		{"newest by push time", `{newest: {count: 2, by: pushed}}`, "a@3h b@1h c@2h d~1m", "b c"},
		{"more wanted than there are", `{newest: {count: 9, by: pushed}}`, "a@3h", "a"},
		{"minAge by push time, then first seen", `{minAge: 1h}`, "a@2h b@30m c~2h d~30m e", "a c"},
		{"minAge to the minute", `{minAge: 1h}`, "a@1h b@59m59s", "a"},
		{"maxAge", `{maxAge: 7d}`, "a@6d b@7d c@8d d~8d e", "a b e"},
		{"cosign tags follow", `{}`, sig + " v1", "v1"},
		{"fallback tags follow", `{include: ["sha256-*"]}`, strings.TrimSuffix(sig, ".sig"), ""},
		{"a tag that only looks like it", `{}`, "sha256-abc.sig " + sig + "x", "sha256-abc.sig " + sig + "x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set := mustParse(t, "registries: {a: {host: a.example.com}, b: {host: b.example.com}}\nrules: [{name: r, from: {registry: a}, to: [{registry: b}], tags: "+tt.filter+"}]")
			tags := tagsOf(t, tt.tags)
			if got := taken(t, set.Rules[0], tags); got != tt.want {
				t.Errorf("taken %s\nwant  %s", got, tt.want)
			}
			want := strings.Fields(tt.want)
			slices.Reverse(tags)
			slices.Reverse(want)
			if got := taken(t, set.Rules[0], tags); got != strings.Join(want, " ") {
				t.Errorf("in the other order, taken %s", got)
			}
		})
	}
}

func taken(t *testing.T, r Rule, tags []TagInfo) string {
	t.Helper()
	var names []string
	verdicts := r.SelectTags(noon(), tags)
	if len(verdicts) != len(tags) {
		t.Fatalf("%d verdicts on %d tags", len(verdicts), len(tags))
	}
	for i, v := range verdicts {
		if v.Tag != tags[i].Name || v.Reason == "" {
			t.Errorf("verdict on %s is %+v", tags[i].Name, v)
		}
		if v.Taken {
			names = append(names, v.Tag)
		}
	}
	return strings.Join(names, " ")
}

func TestSelectReasons(t *testing.T) {
	off := false
	sig := "sha256-" + strings.Repeat("a", 64) + ".sig"
	rule := Rule{Tags: Tags{Include: []string{"v*", "sha*"}, Exclude: []string{"*-dev"}, Semver: ">=1", MinAge: Duration(time.Hour),
		MaxAge: Duration(10 * day), Newest: &Newest{Count: 1, By: BySemver}}}
	want := `left "v1-dev": exclude "*-dev" matches
left "main": no include matches
left "v0.1": semver ">=1": it is outside the range
left "v2-rc1": semver ">=1": it is a pre-release, which the range takes only if it names one, as in >=1.2-0
left "vx": semver ">=1": it is no semantic version
left "v3": minAge 1h: pushed 2026-05-01T11:50:00Z, taken from 2026-05-01T12:50:00Z on
left "v4": minAge 1h: first seen 2026-05-01T12:00:00Z, taken from 2026-05-01T13:00:00Z on
left "v5": maxAge 10d: pushed 2026-04-20T12:00:00Z
took "v1.2": include "v*" matches, and semver ">=1", number 1 of the newest 1 by semver
left "v1.1": newest 1 by semver: it is number 2 of 2
left "` + sig + `": it belongs to sha256:` + strings.Repeat("a", 64) + ` and follows it (referrers)
`
	var got strings.Builder
	for _, v := range rule.SelectTags(noon(), tagsOf(t, "v1-dev main v0.1 v2-rc1 vx v3@10m v4 v5@11d v1.2@2h v1.1@2h "+sig)) {
		got.WriteString(map[bool]string{true: "took ", false: "left "}[v.Taken] + quoteAll(v.Tag) + ": " + v.Reason + "\n")
		if (v.CoolUntil.IsZero()) == strings.HasPrefix(v.Reason, "minAge") {
			t.Errorf("%s cools until %v", v.Tag, v.CoolUntil)
		}
	}
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	plain := Rule{Referrers: Referrers{Enabled: &off}}
	if v := plain.SelectTags(noon(), []TagInfo{{Name: sig}})[0]; !v.Taken {
		t.Errorf("with referrers off, a cosign tag is no ordinary tag: %s", v.Reason)
	}
	broken := Rule{Tags: Tags{Include: []string{"["}}}
	if v := broken.SelectTags(noon(), []TagInfo{{Name: "["}})[0]; v.Taken || !strings.Contains(v.Reason, "the filter is invalid") {
		t.Errorf("an invalid filter gives %+v", v)
	}
}

func quoteAll(text string) string { return `"` + text + `"` }

func TestImmutable(t *testing.T) {
	r := Rule{ImmutableTags: []string{"v*", "[0-9]*"}}
	for tag, want := range map[string]bool{"v1": true, "2024": true, "latest": false} {
		if r.Immutable(tag) != want {
			t.Errorf("%s is immutable: %v", tag, !want)
		}
	}
}

func TestNext(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 1, 0, 0, time.UTC)
	for schedule, want := range map[string]string{
		"*/5 * * * *": "12:05:00", "@every 90s": "12:02:30", "@hourly": "13:00:00",
		"CRON_TZ=Europe/Paris 30 14 * * *": "12:30:00", "": "00:00:00",
	} {
		if got := (Rule{Schedule: schedule}).Next(at).UTC().Format(time.TimeOnly); got != want {
			t.Errorf("%q is due at %s, want %s", schedule, got, want)
		}
	}
	if next := (Rule{Schedule: "@hourly", Paused: true}).Next(at); !next.IsZero() {
		t.Errorf("a paused rule is due at %v", next)
	}
	for _, text := range []string{" ", "TZ=", "TZ=UTC", "CRON_TZ= * * * * *", "* * * * * *", "@every x", "@never", "61 * * * *", "0 0 31 2 *"} {
		if _, err := parseSchedule(text); err == nil {
			t.Errorf("%q is a schedule", text)
		}
	}
}

func TestDefaults(t *testing.T) {
	var r Rule
	if r.ConflictAt(Target{}) != Overwrite || r.GoneAt(Target{}) != Restore || r.Foreign() != KeepForeign || !r.ReferrersOn() {
		t.Error("the choices of an empty rule are not the documented ones")
	}
	if r.VerifyInterval() != day || r.RecheckEvery(10_000) != time.Hour || r.RecheckEvery(10_001) != day {
		t.Error("the times of an empty rule are not the documented ones")
	}
	r = Rule{OnConflict: Keep, OnGone: Leave, Referrers: Referrers{Recheck: Duration(time.Minute)}}
	if r.ConflictAt(Target{OnConflict: Fail}) != Fail || r.ConflictAt(Target{}) != Keep || r.GoneAt(Target{OnGone: Restore}) != Restore || r.RecheckEvery(1e6) != time.Minute {
		t.Error("a target does not win over its rule, or a rule over the default")
	}
}

func TestFingerprint(t *testing.T) {
	off, on := false, true
	linux := Platforms{Only: []Platform{{OS: "linux", Architecture: "amd64"}}, Mode: Sparse}
	same := []Rule{
		{}, {Name: "other", Tags: Tags{Include: []string{"v*"}}, Schedule: "@hourly", VerifyEvery: 1},
		{Referrers: Referrers{Enabled: &on, Recheck: 1}}, {ForeignLayers: KeepForeign},
	}
	for i, r := range same {
		if r.Fingerprint() != "44136fa355b3678a" { // kept in state: it may never change
			t.Errorf("rule %d selects all content and has the fingerprint %s", i, r.Fingerprint())
		}
	}
	seen := map[string]int{}
	for i, r := range []Rule{
		{}, {Platforms: linux}, {Platforms: Platforms{Only: linux.Only, Mode: Rewrite}}, {Referrers: Referrers{Enabled: &off}},
		{ForeignLayers: CopyForeign}, {MediaTypes: TypeFilter{Include: []string{"a"}}}, {MediaTypes: TypeFilter{Exclude: []string{"a"}}},
		{ArtifactTypes: TypeFilter{Include: []string{"a"}}},
	} {
		if first, twice := seen[r.Fingerprint()]; twice {
			t.Errorf("rules %d and %d select different content by one fingerprint", first, i)
		}
		seen[r.Fingerprint()] = i
	}
	a := Rule{MediaTypes: TypeFilter{Include: []string{"a", "b"}}}
	b := Rule{MediaTypes: TypeFilter{Include: []string{"b", "a", "b"}}}
	if a.Fingerprint() != b.Fingerprint() {
		t.Error("the order of a filter changes the fingerprint")
	}
	arm := Platform{OS: "linux", Architecture: "arm64"}
	a.Platforms.Only, b.Platforms.Only = []Platform{arm, linux.Only[0]}, []Platform{linux.Only[0], arm}
	if a.Fingerprint() != b.Fingerprint() {
		t.Error("the order of platforms changes the fingerprint")
	}
}
