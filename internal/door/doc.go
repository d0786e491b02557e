// Package door decides which clients may connect: on which addresses a listener listens, whether
// its connections are encrypted, and which requests reach its handler.
//
// Connections. [Listen] opens every address of a list and returns one net.Listener.
// With a [Certificate] it ends TLS there, below everything else, so a server that
// tells protocols apart by their first bytes sees the same bytes with and without
// TLS.
//
// Requests pass four checks in this order ([Guard.Handler]):
//
//  1. Host. A web page can point a name of its own at 127.0.0.1 (DNS rebinding).
//     To the browser our answers then belong to that page, and no check of origins
//     helps. Only the Host header tells: it holds the page's name. So a listener
//     that is bound to this machine alone answers to this machine's names only.
//  2. Origin. A web page can make a browser send requests to other sites. It cannot
//     read the answers, but the requests do their work. Browsers say where a request
//     comes from (Sec-Fetch-Site, Origin); requests from elsewhere are refused.
//  3. Token. [Tokens] compares the bearer token, or the password of HTTP basic
//     authentication, which browsers ask their users for.
//  4. Headers. Every answer tells browsers not to guess its type, not to frame it and
//     not to run anything in it, unless the handler says otherwise.
//
// The order matters: the origin of a request means nothing when its Host is not
// ours, and a preflight request carries no token.
//
// Programs that are no browsers send none of the headers that the first two checks
// need, but for a Host that is right. So these checks do not concern them.
package door
