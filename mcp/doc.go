// Package mcp lets language models ask for traces: a server of the Model Context
// Protocol over streamable HTTP, with the tools and results of Tempo's.
//
// Every tool is one request to the query API, made in this process on the
// handler that clients use too, so that answers, limits and errors are the same.
// What comes back is bounded: a model pays for each byte, and a list that was
// shortened says so, and how to ask for less. Each answer ends with a link to
// the page, for the person who reads along.
//
// What a query may be, who may ask, and how long it may take is left to the API.
package mcp
