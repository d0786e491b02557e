// Package door decides which clients may connect. It opens the addresses of a listener, encrypts connections,
// and decides which requests reach the handler.
//
// Connections. [Listen] opens every address of a list and returns one net.Listener. With a [Certificate] it
// terminates TLS there, below everything else, so a server that distinguishes protocols by their first bytes
// sees the same bytes with and without TLS.
//
// [Guard.Handler] checks requests in this order:
//
//  1. Host. A web page can point a name of its own at 127.0.0.1 (DNS rebinding). The browser then treats the
//     answers as that page's own, and a check of origins does not help. Only the Host header, which has the
//     page's name, reveals it. So a listener that is bound to this machine alone accepts only this machine's
//     names.
//  2. Origin. A web page can make a browser send requests to other sites. It cannot read the answers, but the
//     requests take effect. Browsers send the origin of a request (Sec-Fetch-Site, Origin); the guard refuses
//     other origins.
//  3. Token. [Tokens] compares the bearer token, or the password of HTTP basic authentication, for which
//     browsers prompt.
//  4. Headers. Every answer tells browsers not to guess its type, not to frame it and not to run scripts in
//     it, unless the handler sets other headers.
//
// The order matters: the origin of a request means nothing when its Host is wrong, and a preflight request has
// no token.
//
// Programs other than browsers send a correct Host and no origin headers, so they pass the first two checks.
package door
