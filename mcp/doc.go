// Package mcp lets language models ask for traces: a server of the Model Context
// Protocol over streamable HTTP, with the tools and results of Tempo's.
//
// Every tool is one request to the query API, made in this process on the
// handler that clients use too, so that answers, limits and errors are the same.
// Answers are bounded: a model pays for each byte, and a list that was
// shortened says so, and how to ask for less. Each answer ends with a link to
// the page, for the person who supervises the model.
//
// The API decides which queries and clients are allowed, and how long a query may take.
package mcp
