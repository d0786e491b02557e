package page

import (
	"encoding/base64"
	"encoding/json"
	"html/template"
	"io"
	"strings"
)

// Recording is one HTML file with traces and everything that shows them. It opens without a server and sends no
// requests.
type Recording struct {
	Title  string
	Traces []RecordedTrace
	Report []ReportLine // the expectations about the traces; may be empty
}

// RecordedTrace is one trace. Spans are OTLP TracesData in protobuf.
type RecordedTrace struct {
	ID, Title string
	Spans     []byte
}

// ReportLine is one expectation and its outcome.
type ReportLine struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome"` // pass or fail
	Why     string `json:"why"`
}

// recordingPolicy is the policy of files that the page itself saves.
const recordingPolicy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

// Write writes the file.
func (r *Recording) Write(w io.Writer) error {
	script, err := dist.ReadFile("dist/shared.js")
	if err != nil {
		return err
	}
	style, err := dist.ReadFile("dist/shared.css")
	if err != nil {
		return err
	}
	report, err := json.Marshal(r.Report) // Marshal escapes <, > and &
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n" +
		`<meta http-equiv="Content-Security-Policy" content="` + recordingPolicy + "\">\n" +
		`<meta name="viewport" content="width=device-width, initial-scale=1">` + "\n" + `<meta name="color-scheme" content="light dark">` + "\n" +
		"<title>" + template.HTMLEscapeString(r.Title) + "</title>\n<style>" + strings.ReplaceAll(string(style), "</", `<\/`) + "</style>\n</head>\n<body>\n" +
		"<div id=\"app\"></div>\n<noscript>This page draws traces with JavaScript.</noscript>\n")
	for _, t := range r.Traces {
		b.WriteString(`<script type="text/plain" data-trace-id="` + template.HTMLEscapeString(t.ID) + `" data-title="` + template.HTMLEscapeString(t.Title) + `">` +
			base64.StdEncoding.EncodeToString(compress(func(w io.Writer) { _, _ = w.Write(t.Spans) })) + "</script>\n")
	}
	if len(r.Report) > 0 {
		b.WriteString(`<script type="application/json" id="report">` + string(report) + "</script>\n")
	}
	b.WriteString("<script>" + strings.NewReplacer("</script", `<\/script`, "<!--", `<\!--`).Replace(string(script)) + "</script>\n</body>\n</html>\n")
	_, err = io.WriteString(w, b.String())
	return err
}
