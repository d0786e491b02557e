// Package scenario turns a drawing of traces into OTLP, with fresh times and ids.
//
// A drawing has one line per span, indented below its parent:
//
//	trace order at -30s
//	0ms 900ms edge "EntryPoint web" server
//	  5ms 890ms shop take-order server shop.id=7 resource.version=1.2
//	    20ms 600ms shop "SELECT stock" client error="timeout" #query event="retry"@100ms
//
// A line has start, end, service and name, then words in any order:
//
//	server, client, producer, consumer   the kind; internal unless given
//	ok, error, error="message"           the status
//	key=value, resource.key=value        attributes; numbers and true/false keep their type
//	event="name"@100ms                   an event, at a time of the trace
//	#label, link=label                   names a span; links to a named span of any trace
//	orphan                               the parent is a span that is never sent
//	skew=5s                              this span's clock is ahead by as much
//	scope=name                           the instrumentation scope
//
// "trace NAME" begins a trace. Its time 0 is now, or now plus the duration after "at". Text after " ## " is a
// comment. A count in front, "20 x 0ms ...", draws that many equal spans, each starting after the one before.
package scenario
