package labs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"etude/internal/spantest"
)

// TestLoadProblems reads testdata/problems.txt: a lab.yaml, and what is said of it.
func TestLoadProblems(t *testing.T) {
	t.Parallel()
	spantest.Run(t, "testdata/problems.txt", func(t *testing.T, input string) string {
		_, err := Load(fstest.MapFS{"20-x/lab.yaml": {Data: []byte(input)}, "20-x/lesson.md": {Data: []byte("# x\n")}})
		if err == nil {
			return "no error"
		}
		return err.Error()
	})
}

// TestLoad: folders come in the order of their names, a later place replaces a lab
// of the same name, and other files are no labs.
func TestLoad(t *testing.T) {
	t.Parallel()
	lab := func(title string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("title: " + title + "\nminutes: 1\nanswer: text\nquestion: q\ncheck: {accept: [{value: a}]}\nhints: [a, b, c]\n")}
	}
	text := &fstest.MapFile{Data: []byte("# lesson\n")}
	all, err := Load(
		fstest.MapFS{"02-b/lab.yaml": lab("second"), "02-b/lesson.md": text, "README.md": text, "notes/x": text},
		fstest.MapFS{"01-a/lab.yaml": lab("first"), "01-a/lesson.md": text, "02-b/lab.yaml": lab("replaced"), "02-b/lesson.md": text})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range all {
		got = append(got, l.ID+" "+l.Title)
	}
	if strings.Join(got, ", ") != "01-a first, 02-b replaced" || all[1].Number != 2 {
		t.Errorf("got %v", got)
	}
}

func FuzzLoad(f *testing.F) {
	_, cases := spantest.Cases(f, "testdata/problems.txt")
	for _, c := range cases {
		f.Add(c.Input)
	}
	own, err := Own().(interface {
		ReadFile(string) ([]byte, error)
	}).ReadFile("13-instrument-it-yourself/lab.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(own))
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = Load(fstest.MapFS{"20-x/lab.yaml": {Data: []byte(text)}, "20-x/lesson.md": {Data: []byte("x")}})
	})
}

// TestAnswers: what does not matter in an answer is taken off, and what does is not.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		given, right string
		same         bool
	}{
		{" `Redis_Call`. ", "redis_call", true},
		{"uservice3  redis_call", "uservice3 redis_call", true},
		{"redis", "redis_call", false},
		{"00ABCDEF12", "abcdef1234567890abcdef", true},
		{"abcde", "abcdef1234567890abcdef", false},
		{"abcdef", "abcdef", true},
		{"abcdef", "abcdef12", false}, // not an id
		{"10", "10", true},
		{"1", "10", false},
		{"face", "facefeed00112233", false},
	} {
		if got := sameAnswer(plainAnswer(c.given), plainAnswer(c.right)); got != c.same {
			t.Errorf("%q for %q: %t, want %t", c.given, c.right, got, c.same)
		}
	}
}

// TestWorkingCopyHasTheVersionsOfThisModule: what has been downloaded to build
// etude is all that a working copy needs.
func TestWorkingCopyHasTheVersionsOfThisModule(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const work = "13-instrument-it-yourself/work/"
	root, sums := read("../go.mod"), read("../go.sum")
	required := regexp.MustCompile(`(?m)^\t\S+ v\S+|^go \S+`).FindAllString(read(work+"go.mod.txt"), -1)
	if len(required) < 10 {
		t.Fatalf("only %d lines of go.mod were read", len(required))
	}
	for _, line := range required {
		if !strings.Contains(root, line) {
			t.Errorf("go.mod.txt has %q, this module's go.mod has not", strings.TrimSpace(line))
		}
	}
	for line := range strings.Lines(read(work + "go.sum.txt")) {
		if !strings.Contains(sums, line) {
			t.Errorf("go.sum.txt has %q, this module's go.sum has not", strings.TrimSpace(line))
		}
	}
}

// TestNotebook: progress lasts, and a file that cannot be read is named.
func TestNotebook(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "labs")
	n, err := openNotebook(dir)
	if err != nil {
		t.Fatal(err)
	}
	n.get("01-a").State = Done
	if err := n.save(); err != nil {
		t.Fatal(err)
	}
	if n, err = openNotebook(dir); err != nil || n.get("01-a").State != Done || n.get("02-b").State != New {
		t.Errorf("read again: %+v, %v", n, err)
	}
	if err := os.WriteFile(filepath.Join(dir, notebookName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openNotebook(dir); err == nil || !strings.Contains(err.Error(), notebookName) || !strings.Contains(err.Error(), "start over") {
		t.Errorf("a broken file: %v", err)
	}
}

// TestLessonsArePages: a lesson begins with its title and fits on a page.
func TestLessonsArePages(t *testing.T) {
	t.Parallel()
	all, err := Load(Own())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if !strings.HasPrefix(l.Lesson, "# "+l.Title+"\n") {
			t.Errorf("%s: the lesson does not begin with # %s", l.ID, l.Title)
		}
		if lines := strings.Count(l.Lesson, "\n"); lines > 60 {
			t.Errorf("%s: %d lines, want one page", l.ID, lines)
		}
	}
}
