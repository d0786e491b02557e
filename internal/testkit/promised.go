package testkit

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// CheckPromised fails the test when a part does not expose a metric, with its labels, that dashboards and
// documentation use. It returns the number of such metrics. root is the path of the repository.
func CheckPromised(t testing.TB, root, exposed, part string) (n int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "deploy", "testdata", "metrics.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 4 || f[3] != part {
			continue
		}
		n++
		if want := "# TYPE " + f[0] + " " + f[1] + "\n"; !strings.Contains(exposed, want) {
			t.Errorf("/metrics lacks %s", want)
		}
		sample := regexp.MustCompile(`(?m)^` + f[0] + `(_count)?(\{.*\})? `).FindString(exposed)
		for _, label := range strings.Split(f[2], ",") {
			if f[2] != "-" && !strings.Contains(sample, label+`="`) {
				t.Errorf("%s has no label %s", sample, label)
			}
		}
	}
	return n
}
