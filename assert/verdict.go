package assert

import "strings"

// Outcome is the result of an expectation.
type Outcome string

// The outcomes. An open one depends on spans that may still arrive.
const (
	Open   Outcome = "open"
	Passed Outcome = "pass"
	Failed Outcome = "fail"
)

// Verdict describes the result of one expectation.
type Verdict struct {
	Name    string   `json:"name"`
	Outcome Outcome  `json:"outcome"`
	Wanted  string   `json:"wanted"`
	Found   string   `json:"found,omitempty"`
	Nearest string   `json:"nearest,omitempty"` // "" when no span came near
	Traces  []string `json:"traces,omitempty"`  // ids of a few example traces
}

// String formats the verdict as one line or, for a failure, as several.
func (v Verdict) String() string {
	if v.Outcome != Failed {
		return string(v.Outcome) + "  " + v.Name
	}
	return string(v.Outcome) + "  " + v.Name + "\n" + v.Why()
}

// Why is the text of a failure, without its name.
func (v Verdict) Why() string {
	var b strings.Builder
	say := func(head, text string) {
		if text != "" {
			b.WriteString("      " + head + strings.ReplaceAll(text, "\n", "\n               ") + "\n")
		}
	}
	say("wanted:  ", v.Wanted)
	say("found:   ", v.Found)
	say("nearest: ", v.Nearest)
	say("trace:   ", strings.Join(v.Traces, " "))
	return b.String()
}
