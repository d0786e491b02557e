// Which clicks a page answers itself.

/** The link of this origin that an unmodified click is on; modified clicks, other targets and hashes stay the browser's. */
export function plainLink(event: MouseEvent): HTMLAnchorElement | undefined {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return undefined;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || link.target !== "" || link.origin !== location.origin || link.hasAttribute("download") || link.hash !== "") return undefined;
  return link;
}
