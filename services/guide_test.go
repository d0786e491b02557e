package services

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the differences into docs/guide.md")

const guidePath = "../docs/guide.md"

// Names and ports differ between the pairs and teach nothing, so the guide leaves them out.
var sameNames = strings.NewReplacer("uservice1", "uservice3", "uservice2", "uservice4", "8081", "8083", "8082", "8084")

// TestGuideShowsTheDifference holds the guide to the source: its n-th diff block is the n-th hunk, and none is missing.
func TestGuideShowsTheDifference(t *testing.T) {
	before, after := readLines(t, "uservice1/uservice1.go"), readLines(t, "uservice3/uservice3.go")
	for i := range before {
		before[i] = sameNames.Replace(before[i])
	}
	want := hunks(before, after)
	guide, err := os.ReadFile(guidePath)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```diff\n(.*?)```")
	if n := len(blocks.FindAllString(string(guide), -1)); n != len(want) {
		t.Fatalf("docs/guide.md has %d diff blocks, the sources differ in %d places: add or remove steps, then run with -update", n, len(want))
	}
	n := -1
	written := blocks.ReplaceAllStringFunc(string(guide), func(string) string { n++; return "```diff\n" + want[n] + "```" })
	if written == string(guide) {
		return
	}
	if !*update {
		t.Fatal("docs/guide.md no longer shows the sources: go test ./services -run Guide -update, then reread its text")
	}
	if err := os.WriteFile(guidePath, []byte(written), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// hunks returns the places in which a and b differ, each with a line of context before and after.
func hunks(a, b []string) (out []string) {
	lines := diff(a, b)
	for i := 0; i < len(lines); i++ {
		if lines[i][0] == ' ' {
			continue
		}
		end, calm := i, 0 // a hunk goes on until three lines in a row are the same
		for j := i; j < len(lines) && calm < 3; j++ {
			if calm++; lines[j][0] != ' ' {
				end, calm = j, 0
			}
		}
		out = append(out, strings.Join(lines[max(i-1, 0):min(end+2, len(lines))], "\n")+"\n")
		i = end
	}
	return out
}

// diff marks each line as removed, added or kept, by the longest common subsequence.
func diff(a, b []string) (out []string) {
	common := make([][]int, len(a)+1) // common[i][j]: how much a[i:] and b[j:] share
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			common[i][j] = max(common[i+1][j], common[i][j+1])
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, " "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "-"+a[i])
			i++
		default:
			out = append(out, "+"+b[j])
			j++
		}
	}
	return out
}
