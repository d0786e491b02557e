package mcp

import (
	"context"
	"embed"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Help texts on TraceQL, one file a topic.
//
//go:embed help/*.md
var helpFiles embed.FS

// topics has the help texts in reading order.
var topics = []struct{ name, about string }{
	{"basic", "Filters: attributes, intrinsics, operators, literals"},
	{"aggregates", "Count, sum and group the spans of a trace; select the fields to show"},
	{"structural", "Parents, children, siblings: relations of spans in a trace"},
	{"metrics", "Time series and numbers computed from spans"},
}

const markdown = "text/markdown"

// help returns the text of a topic.
func help(topic string) (string, error) {
	var names []string
	for _, t := range topics {
		if t.name == topic {
			text, err := helpFiles.ReadFile("help/" + topic + ".md")
			return string(text), err
		}
		names = append(names, t.name)
	}
	return "", fmt.Errorf("unknown document %q: want one of %s", topic, strings.Join(names, ", "))
}

func addDocs(server *mcp.Server) {
	for _, t := range topics {
		uri := "docs://traceql/" + t.name
		server.AddResource(&mcp.Resource{URI: uri, Name: "traceql-" + t.name, Title: "TraceQL: " + t.name, Description: t.about, MIMEType: markdown},
			func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
				text, err := help(t.name)
				if err != nil {
					return nil, err
				}
				return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: uri, MIMEType: markdown, Text: text}}}, nil
			})
	}
}
