package testcmd

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"etude/assert"
)

// The elements of a JUnit report that Jenkins, GitLab and GitHub understand.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"` // seconds
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes one case for each expectation and one for the command.
func (r *testRun) writeJUnit() error {
	if r.cmd.JUnit == "" {
		return nil
	}
	suite := junitSuite{Name: "etude test", Time: seconds(r.took.Seconds())}
	add := func(name string, failure *junitFailure) {
		suite.Cases = append(suite.Cases, junitCase{Name: name, Class: "etude.test", Time: seconds(0), Failure: failure})
		if suite.Tests++; failure != nil {
			suite.Failures++
		}
	}
	var failure *junitFailure
	if r.status != 0 {
		failure = &junitFailure{Message: fmt.Sprintf("exit status %d", r.status), Type: "status"}
	}
	add("command: "+strings.Join(r.cmd.Command, " "), failure)
	for _, v := range r.verdicts {
		failure = nil
		if v.Outcome == assert.Failed {
			first, _, _ := strings.Cut(v.Found, "\n")
			failure = &junitFailure{Message: "wanted: " + v.Wanted + "; found: " + first, Type: "expectation", Text: "\n" + v.Why()}
		}
		add(v.Name, failure)
	}
	err := writeFile(r.cmd.JUnit, func(w io.Writer) error {
		_, _ = io.WriteString(w, xml.Header) // the encoder reports the same error
		e := xml.NewEncoder(w)
		e.Indent("", "  ")
		return e.Encode(junitSuites{Suites: []junitSuite{suite}})
	})
	if err != nil {
		return fmt.Errorf("write the JUnit report: %w", err)
	}
	return nil
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }
