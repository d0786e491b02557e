// Package mcp lets language models query traces. It is a server of the Model Context Protocol over streamable
// HTTP, with the tools and results of Tempo's server.
//
// Every tool sends one request to the query API, in this process, through the handler that other clients use.
// So answers, limits and errors are the same. The size of answers is limited, because a model pays for each
// byte. A shortened list says that it is shortened, and how to narrow the request. Each answer ends with a link
// to the page, for the person who supervises the model.
//
// The API decides which queries and clients are allowed, and how long a query may take.
package mcp
