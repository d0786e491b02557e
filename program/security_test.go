package program

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"etude/program/access"
)

// TestSecurityDocNamesTheFlags: every flag that docs/security.md names exists, and
// every flag that bounds something, or opens a door, is named there.
func TestSecurityDocNamesTheFlags(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{} // flag -> group
	for _, command := range []string{"up", "backend", "edge", "load", "health http://x"} {
		for _, flag := range parse(t, strings.Fields(command)...).Flags {
			known[flag.Name] = ""
			if flag.Group != nil {
				known[flag.Name] = flag.Group.Key
			}
		}
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`--([a-z0-9.-]+)").FindAllStringSubmatch(string(text), -1) {
		named[m[1]] = true
		if _, ok := known[m[1]]; !ok {
			t.Errorf("docs/security.md names --%s, which is no flag", m[1])
		}
	}
	bounds := regexp.MustCompile(`(^|[.-])max-|-timeout$|^retention$|\.retention$|^memory$`)
	for flag, group := range known {
		if (bounds.MatchString(flag) || slices.Contains([]string{"door", "client", "ingest"}, group) || strings.HasSuffix(flag, "-addr")) && !named[flag] {
			t.Errorf("docs/security.md does not name --%s", flag)
		}
	}
}

// TestListenerNamesAreThoseOfTheFlags: the names that --tls-listeners takes are those
// of the address flags.
func TestListenerNamesAreThoseOfTheFlags(t *testing.T) {
	t.Parallel()
	var want []string
	for _, flag := range parse(t, "up").Flags {
		if name, ok := strings.CutSuffix(flag.Name, "-addr"); ok {
			want = append(want, name)
		}
	}
	got := access.ListenerNames()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("doors know the listeners %q, the flags are of %q", got, want)
	}
}
